// The built site, served gzipped over HTTP/1.1 as a plain static host does, and Chromium to read it.
import { createReadStream, existsSync, globSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { createGzip } from 'node:zlib';
import puppeteer from 'puppeteer-core';

const TYPES = {
  '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'text/json',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2', '.txt': 'text/plain', '.xml': 'text/xml',
  '.wasm': 'application/wasm',
};

export async function open(site, named) {
  const traffic = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => {
    const { socket } = response, before = socket.bytesWritten;
    response.on('finish', () => { traffic.requests++; traffic.bytes += socket.bytesWritten - before; });
    const file = join(site, decodeURI(new URL(request.url, 'http://x').pathname));
    if (!existsSync(file) || !extname(file)) return response.writeHead(404).end();
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    const zip = /text|svg/.test(type);
    response.writeHead(200, { 'Content-Type': zip ? `${type}; charset=utf-8` : type, ...(zip && { 'Content-Encoding': 'gzip' }) });
    const body = createReadStream(file);
    (zip ? body.pipe(createGzip()) : body).pipe(response);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', process.env.CHROME_PATH].find(existsSync);
  if (!executablePath) {
    console.error('Chromium is missing; on Debian, apt-get install chromium brings it. Elsewhere set CHROME_PATH.');
    process.exit(1);
  }
  const flags = '--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update --disable-sync';
  const browser = await puppeteer.launch({ executablePath, args: flags.split(' '), defaultViewport: null });
  return {
    browser,
    address: `http://127.0.0.1:${server.address().port}/`,
    traffic,
    pages: named.length ? named : globSync('*.html', { cwd: site }).sort(),
    close: async () => { await browser.close(); server.close(); },
  };
}
