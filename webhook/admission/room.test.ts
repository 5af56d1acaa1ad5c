import test from 'ava';
import { createRoom } from './room.ts';

test('when the room is full, those go that came first, until it is not', (t) => {
  const room = createRoom(10);
  const gone: string[] = [];
  const guest = (name: string) => () => gone.push(name);
  const [slow, second, third] = [guest('slow'), guest('second'), guest('third')];
  room.add(slow, 1);
  room.add(second, 6);
  room.add(slow, 2);
  t.deepEqual(gone, []);
  room.add(third, 2);
  t.deepEqual(gone, ['slow']);
  room.add(third, 6);
  t.deepEqual(gone, ['slow', 'second']);
});

test('who left takes no room and is not called', (t) => {
  const room = createRoom(10);
  const done = () => t.fail();
  room.add(done, 10);
  room.leave(done);
  room.leave(done);
  room.add(() => t.fail(), 10);
  t.pass();
});
