import { testNode } from './tests.ts';

testNode('containerd');
