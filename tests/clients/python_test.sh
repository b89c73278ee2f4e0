# Python: maps, processes that share memory, threads, children, sockets.
. /programs/tap.sh

cat >maps.py <<'END'
import mmap, os
with open("file", "wb+") as f:
    f.truncate(1 << 20)
    with mmap.mmap(f.fileno(), 0) as m:
        m[4090:4100] = b"0123456789"
        assert os.pread(f.fileno(), 10, 4090) == b"0123456789"
        os.pwrite(f.fileno(), b"abc", 8192)
        assert m[8192:8195] == b"abc"
        assert m.find(b"abc") == 8192
        m.move(0, 4090, 10)
        m.flush()
        m.resize(2 << 20)
        m[-1] = 7
        m.madvise(mmap.MADV_DONTNEED)
        assert m[:10] == b"0123456789" and m[-1] == 7
assert os.stat("file").st_size == 2 << 20
with mmap.mmap(-1, 8192) as shared:
    if os.fork() == 0:
        shared[5000:5005] = b"child"
        os._exit(0)
    os.wait()
    assert shared[5000:5005] == b"child"
print("done")
END

cat >processes.py <<'END'
import multiprocessing as mp
from multiprocessing import shared_memory

def square(n): return n * n

def fill(name, at):
    memory = shared_memory.SharedMemory(name=name)
    memory.buf[at] = at
    memory.close()

if __name__ == "__main__":
    for method in "fork", "spawn", "forkserver":
        context = mp.get_context(method)
        with context.Pool(2) as pool:
            assert pool.map(square, range(20)) == [n * n for n in range(20)]
        memory = shared_memory.SharedMemory(create=True, size=4096)
        workers = [context.Process(target=fill, args=(memory.name, at)) for at in range(2)]
        for w in workers: w.start()
        for w in workers: w.join()
        assert [w.exitcode for w in workers] == [0, 0]
        assert bytes(memory.buf[:2]) == bytes(range(2))
        memory.close()
        memory.unlink()
        print(method)
END

cat >threads.py <<'END'
import threading, queue, gc, time, faulthandler
faulthandler.dump_traceback_later(100)
todo, done = queue.Queue(), queue.Queue()
def work():
    while (item := todo.get()) is not None:
        cycle = []
        cycle.append(cycle)
        done.put(sum(range(item)))
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for n in range(2000): todo.put(n % 50)
for t in threads: todo.put(None)
for t in threads: t.join()
gc.collect()
print(sum(done.get() for _ in range(2000)))
END

cat >events.py <<'END'
import asyncio, os, signal, subprocess, sys
async def main():
    server = await asyncio.start_unix_server(answer, "socket")
    reader, writer = await asyncio.open_unix_connection("socket")
    for n in range(50):
        writer.write(b"x" * 10000 + b"\n")
        assert len(await reader.readline()) == 10001
    writer.close()
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input()[::-1])",
                                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print((await child.communicate(b"hello\n"))[0].decode().strip(), child.returncode)
    caught = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, caught.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(caught.wait(), 20)
    print("signal")
    server.close()
async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()
asyncio.run(main())
END

is "$(python3 maps.py 2>&1)" done "files, anonymous memory and fork by the mmap module"
is "$(python3 processes.py 2>&1)" "fork
spawn
forkserver" "pools of processes and shared memory, begun in each way"
is "$(python3 threads.py 2>&1)" 784000 "eight threads over two queues"
is "$(python3 events.py 2>&1)" "olleh 0
signal" "asyncio: unix sockets, a child, a signal"
is "$(python3 -c 'x = [bytearray(1 << 20) for n in range(100)]; del x; print(sum(i * i for i in range(100000)))')" \
    333328333350000 "memory comes and goes"
is "$(python3 -c 'import hashlib; print(hashlib.sha256(b"a" * (1 << 22)).hexdigest()[:16])')" \
    "$(head -c 4194304 /dev/zero | tr '\0' a | sha256sum | cut -c1-16)" "hashes"
fails 139 "a stray pointer ends it" python3 -c 'import ctypes; ctypes.string_at(8)'
is "$(python3 -X faulthandler -c 'import ctypes; ctypes.string_at(8)' 2>&1 | head -n1)" \
    "Fatal Python error: Segmentation fault" "and faulthandler, on a stack of its own, says where"
finish
