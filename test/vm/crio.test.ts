import { testNode } from './tests.ts';

testNode('CRI-O');
