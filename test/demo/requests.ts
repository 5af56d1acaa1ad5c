/** What the demo asks of nginx, with the curl that is on the machine. */
import { runTool } from '../harness/run-tool.ts';

interface DemoRequest {
  title: string;
  /** Arguments of curl; BASE stands for nginx's address. */
  args: readonly string[];
}

export const ORDINARY: readonly DemoRequest[] = [
  { title: 'the front page', args: ['BASE/'] },
  { title: 'a file', args: ['BASE/1k.txt'] },
  { title: 'only its head', args: ['-I', 'BASE/1k.txt'] },
  { title: 'a search', args: ['BASE/text?q=red+shoes&page=2'] },
  {
    title: 'an order',
    args: ['-H', 'Content-Type: application/json', '-d', '{"sku":"A-17","count":2}', 'BASE/upload/orders'],
  },
  { title: 'something that is not there', args: ['BASE/no/such/page'] },
];

export const HOSTILE: readonly DemoRequest[] = [
  { title: 'the password file', args: ['--path-as-is', 'BASE/etc/passwd'] },
  { title: 'the same, climbing', args: ['--path-as-is', 'BASE/files/../../../../etc/passwd'] },
  {
    title: 'SQL in a parameter',
    args: ['BASE/text?id=1%27%20OR%20%271%27=%271%27%20UNION%20SELECT%20password%20FROM%20users--'],
  },
  { title: 'a script in a parameter', args: ['BASE/text?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E'] },
];

/** Sends one request; answers with the status that curl saw. */
export function sendRequest({ args }: DemoRequest, base: string): Promise<string> {
  const all = [
    '-sS',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    ...args.map((arg) => arg.replace('BASE', base)),
  ];
  return runTool('curl', all);
}
