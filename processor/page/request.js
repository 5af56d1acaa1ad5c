// A request as it was sent, with the matched part marked.
import { make, markedBytes } from './elements.js';

export function requestNodes({ request, mark }) {
  const { method, target, version, headers, body, bodyLength, bodyTruncated } = request;
  const markIn = (where, header) => (mark?.where === where && mark.header === header ? mark : undefined);
  const nodes = [...markedBytes(method), ' ', ...markedBytes(target, markIn('target')), ` ${version}\n`];
  headers.forEach(({ name, value }, index) => {
    nodes.push(
      make('span', { class: 'name' }, ...markedBytes(name), ': '),
      ...markedBytes(value, markIn('header', index)),
      '\n',
    );
  });
  if (body !== '') nodes.push('\n', ...markedBytes(body, markIn('body')));
  if (bodyTruncated) {
    nodes.push(
      make(
        'span',
        { class: 'name' },
        `\n… ${body.length} of ${bodyLength ?? 'an unknown number of'} bytes recorded`,
      ),
    );
  }
  return nodes;
}
