// Three isolates with a shared word; code that is made at run time; WebAssembly, whose bounds checks are faults.
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

function work() {
  let all = [];
  for (let round = 0; round < 20; round++) {
    all = [];
    for (let i = 0; i < 20000; i++) all.push({ i, text: 'x' + i });
  }
  Atomics.add(new Int32Array(workerData), 0, 1);
  parentPort.postMessage(all.reduce((sum, x) => sum + x.i, 0));
}

function loop(n) {
  let t = 0;
  for (let i = 0; i < n; i++) t = (t + i * i) % 1000003;
  return t;
}

function rest() {
  let sum = 0, traps = 0;
  for (let i = 0; i < 300; i++) sum += loop(2000);
  console.log('compiled', sum);
  const made = [...Array(200)].map((_, i) => new Function('x', 'return x * ' + i + ' + 1'));
  sum = 0;
  for (let round = 0; round < 200; round++) for (const f of made) sum += f(round);
  console.log('made', sum);
  try {
    (function deep(n) { return deep(n + 1) + 1; })(0);
  } catch (e) {
    console.log(e.constructor.name);
  }
  // (func (export "r") (param i32) (result i32) (i32.load (local.get 0))), one page of memory
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 114, 0, 0,
    10, 9, 1, 7, 0, 32, 0, 40, 2, 0, 11];
  const { r } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
  for (let i = 0; i < 1000; i++)
    try {
      r(70000 + i * 4096);
    } catch (e) {
      if (e instanceof WebAssembly.RuntimeError) traps++;
    }
  console.log('traps', traps, r(0));
  for (let i = 0; i < 5; i++) gc();
  require('child_process').execFile('/bin/echo', ['child'], (error, output) => console.log(output.trim()));
}

if (isMainThread) {
  const shared = new SharedArrayBuffer(4);
  let got = 0, sum = 0;
  for (let n = 0; n < 3; n++)
    new Worker(__filename, { workerData: shared }).on('message', value => {
      sum += value;
      if (++got < 3) return;
      console.log('workers', sum, new Int32Array(shared)[0]);
      rest();
    });
} else {
  work();
}
