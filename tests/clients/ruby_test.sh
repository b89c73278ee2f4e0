# Ruby: GC.compact moves objects behind pages that it protects; fibers have mapped stacks with guard pages.
. /programs/tap.sh

cat >compact.rb <<'END'
kept = (0...60_000).map { |i| "string number #{i}" }
table = kept.each_with_index.to_h
6.times do |round|
  kept.each_index { |i| kept[i] = kept[i].dup if i % 6 == round }
  GC.compact
  GC.start
  kept.each_with_index { |s, i| abort "lost #{i}: #{s.inspect}" unless s == "string number #{i}" && table[s] == i }
end
puts "#{GC.stat(:compact_count)} compactions"
END
is "$(ruby compact.rb 2>&1)" "6 compactions" "six compactions, nothing lost"
is "$(ruby -e 'GC.auto_compact = true; a = (0...30000).map { |i| [i, i.to_s] }; 4.times { GC.start }; puts a.sum { |i, s| s.to_i - i }' 2>&1)" \
    0 "automatic compaction (read barriers by mprotect and SIGSEGV)"
is "$(ruby -e 'GC.verify_compaction_references(toward: :empty, expand_heap: true); puts "verified"' 2>&1)" verified "references after compaction are verified"
is "$(ruby -e 'f = (0...500).map { |i| Fiber.new { |x| Fiber.yield x + i; i } }; puts f.sum { |g| g.resume(1) }')" 125250 "five hundred fibers"
is "$(ruby -e 'def deep(n) = deep(n + 1) + 1
begin; deep(0); rescue SystemStackError; puts "too deep"; end' 2>&1)" "too deep" "a full stack is an exception"
is "$(ruby -e 'puts (0...8).map { |i| Thread.new { (0...20000).sum + i } }.sum(&:value)')" 1599920028 "threads"
is "$(ruby -e 'r, w = IO.pipe; pid = fork { w.puts "child"; exit! 3 }; Process.wait pid; puts r.gets.chomp + $?.exitstatus.to_s')" child3 "fork"
is "$(ruby -rsocket -e 's = UNIXServer.new("sock"); t = Thread.new { c = s.accept; c.write c.readline.upcase; c.close }; c = UNIXSocket.new("sock"); c.puts "hello"; puts c.read')" HELLO "unix sockets"
is "$(ruby -e 'IO.write("f", "x" * 100000); puts IO.copy_stream("f", "g"), File.size("g")' | tr '\n' ' ')" "100000 100000 " "copied files"
finish
