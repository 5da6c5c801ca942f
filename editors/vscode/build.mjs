// Bundles the extension and the script of its chat: node build.mjs
import fs from 'node:fs'
import esbuild from 'esbuild'

const shared = { bundle: true, minify: true, sourcemap: false, logLevel: 'info', legalComments: 'none', target: 'es2022' }
await esbuild.build({
  ...shared,
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  platform: 'node',
  format: 'cjs',
  external: ['vscode'],
})
await esbuild.build({ ...shared, entryPoints: ['src/webview/main.ts'], outfile: 'dist/webview.js', platform: 'browser', format: 'iife' })
for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) fs.copyFileSync(`../../${name}`, `dist/${name}`)
