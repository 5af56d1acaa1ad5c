// A report of an agent with one target, as tests need it.
import type { CoverageReport, ReportedTarget } from '../report.ts';

type Process = ReportedTarget['tls']['processes'][number];

export const nginxProcess: Process = {
  pid: 7,
  executable: '/usr/sbin/nginx',
  library: '/usr/lib/x86_64-linux-gnu/libssl.so.3',
  version: 'OpenSSL 3.0.19',
  buildId: '48b5aaf1d60ab2ef94ee0a9c07a7c7f2d6c1b2a3',
  probe: 'inner keylog function at +0x32e50, push',
  attached: true,
  armed: true,
  secrets: 3,
  verified: 2,
  proof: 'proven',
};

export const javaProcess: Process = {
  pid: 8,
  executable: '/usr/bin/java',
  library: '/usr/lib/jvm/lib/server/libjvm.so',
  version: 'Java',
  probe: 'Java is in it, and where Java hands out its secrets is not known: a Java agent would be needed',
  attached: false,
  armed: null,
  secrets: 0,
  verified: 0,
  proof: 'none',
};

export function sampleTarget(
  name = 'shop',
  processes: Process[] = [nginxProcess, javaProcess],
): ReportedTarget {
  return {
    cgroup: `/sys/fs/cgroup/${name}`,
    identity: { name },
    selectedAtMs: 1,
    lastExchangeAtMs: 1500,
    exchanges: 9,
    connections: { http1: 3, tls: 4 },
    tls: {
      handshakes: 4,
      decrypted: 3,
      called: {},
      calledLate: 0,
      dark: { 'no secret was logged': 1 },
      processes,
      calls: [],
    },
    notes: ['1 TLS connections are not read: no secret was logged'],
  };
}

export function sampleReport(over: Partial<CoverageReport> = {}): CoverageReport {
  return {
    node: 'node-1',
    agentVersion: '0.1.0',
    atMs: 2000,
    exchanges: { captured: 12, delivered: 9, dropped: { queue_full: 2 }, inFlight: 1 },
    lostBytes: { ring_full: 0 },
    ledgerCloses: true,
    targets: [sampleTarget()],
    refused: [],
    notes: [],
    ...over,
  };
}
