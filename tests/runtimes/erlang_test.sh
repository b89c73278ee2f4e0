# Erlang: a scheduler on each hart, thousands of small heaps.
. /programs/tap.sh
export HOME=$dir

run() { erl -noshell +S 4 -eval "$1, halt()." 2>&1; }

is "$(run 'S = self(), F = fun(N) -> lists:sum([length(lists:seq(1, I rem 100)) || I <- lists:seq(1, N)]) end,
    [spawn(fun() -> S ! F(2000) end) || _ <- lists:seq(1, 200)],
    io:format("~p", [lists:sum([receive X -> X end || _ <- lists:seq(1, 200)])])')" 19800000 "two hundred processes"
is "$(run 'S = self(), P = lists:foldl(fun(_, N) -> spawn(fun() -> receive X -> N ! X + 1 end end) end, S, lists:seq(1, 5000)),
    P ! 0, receive X -> io:format("~p", [X]) end')" 5000 "a chain of five thousand"
is "$(run '[begin process_flag(trap_exit, true), P = spawn_link(fun() -> exit({big, binary:copy(<<0>>, 1000000)}) end),
    receive {_, P, {big, B}} -> 1000000 = size(B) end end || _ <- lists:seq(1, 50)], erlang:garbage_collect(), io:format("ok")')" \
    ok "large binaries"
is "$(run 'T = ets:new(t, [public]), [ets:insert(T, {I, I * I}) || I <- lists:seq(1, 50000)], io:format("~p", [ets:lookup(T, 300)])')" \
    "[{300,90000}]" "a table"
is "$(run 'P = open_port({spawn, "echo child"}, [stream]), receive {P, {data, D}} -> io:format("~s", [string:trim(D)]) end')" child "a child"
finish
