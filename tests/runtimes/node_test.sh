# Node.js: V8 reserves hundreds of gigabytes, and changes pages between writable and executable.
. /programs/tap.sh

is "$(node -e 'console.log(1 + 1)')" 2 "it starts"
is "$(node --expose-gc /runtimes/workers.js 2>&1)" "workers 599970000 3
compiled 197702400
made 396050000
RangeError
traps 1000 0
child" "workers, compiled code, a full stack, WebAssembly's traps, collections, a child"
is "$(node --max-old-space-size=40 -e 'let a = []; for (;;) a.push(new Array(1000).fill(a.length + 0.5))' 2>&1 | grep -c 'heap out of memory')" \
    1 "a full heap ends it"
is "$(node -e 'require("fs").readFile("/runtimes/workers.js", (e, d) => console.log(d.includes("WebAssembly")))')" true "files by its threads"
is "$(node -e '
const net = require("net"), s = net.createServer(c => c.pipe(c)).listen(0, "127.0.0.1", () => {
  const c = net.connect(s.address().port, "127.0.0.1"); let got = 0;
  c.on("data", d => { got += d.length; if (got === 300000) { console.log(got); c.end(); s.close(); } });
  c.write(Buffer.alloc(300000));
});')" 300000 "sockets"
finish
