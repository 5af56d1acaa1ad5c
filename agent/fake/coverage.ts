// Coverage of one target with one process, to be changed by tests.
import type { TlsProcess } from '../../bpf/index.d.ts';
import type { AgentCoverage } from '../coverage-report.ts';

export const sampleProcess: TlsProcess = {
  pid: 7,
  executable: '/usr/sbin/nginx',
  library: '/usr/lib/libssl.so.3',
  version: 'OpenSSL 3.0.19',
  buildId: '48b5aaf1d60ab2ef94ee0a9c07a7c7f2d6c1b2a3',
  probe: 'inner keylog function at +0x32e50',
  attached: true,
  armed: true,
  secrets: 3,
  verified: 2,
  proof: 'proven',
};

export function sampleCoverage({
  processes = [{ ...sampleProcess }],
}: {
  processes?: TlsProcess[];
} = {}): AgentCoverage {
  return {
    targets: [
      {
        cgroup: '/sys/fs/cgroup/shop',
        identity: { name: 'shop', namespace: 'shop', pod: 'web-1', container: 'web' },
        because: 'filter 1',
        selectedAtMs: 1,
        lastExchangeAtMs: 1500,
        exchanges: 9,
        connections: { http1: 3, tls: 4, http2: 0 },
        tls: {
          handshakes: 4,
          decrypted: 3,
          dark: { lost: 1 },
          called: {},
          calledLate: 0,
          processes,
          calls: [],
        },
        notes: ['1 connections are dark'],
      },
    ],
    notes: ['a note'],
    secrets: { secrets: 5, lost_queue_full: 0 },
  };
}
