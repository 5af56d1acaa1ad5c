import test from 'ava';
import { registriesScript } from './registries.ts';

test('registries: the variables of package managers are handed on, and no others', (t) => {
  const script = registriesScript({
    npm_config_registry: "https://npm.example/it's",
    GOPROXY: 'https://go.example',
    CARGO_TARGET_DIR: '/somewhere',
    SECRET: 'x',
  });
  t.true(script.includes(`export npm_config_registry='https://npm.example/it'\\''s'`));
  t.true(script.includes(`export GOPROXY='https://go.example'`));
  t.false(/CARGO_TARGET_DIR=|SECRET/.test(script));
});
