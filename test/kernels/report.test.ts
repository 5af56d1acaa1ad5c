import test from 'ava';
import { parseReport } from './report.ts';

test('A report says of each check whether it passed or why not; other lines are passed by', (t) => {
  const report = '# Linux 6.1, up 3 s\nok load\nfailed tls: no line matches: aead$\n# ok not a check\nokay\n';
  t.deepEqual(
    [...parseReport(report)],
    [
      ['load', null],
      ['tls', 'no line matches: aead$'],
    ],
  );
});
