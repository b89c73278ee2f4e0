# compare.awk -v quire=LOG (-v linux=LOG | -v record=TSV) -v known=TSV -v sets="SET..." [-v to_record=1]
#
# Compares the logs of tests/differ sequence by sequence, up to the first line that differs: behind it the kernels are
# in different states. Differences that known.tsv lists are told apart. Prints TAP, a point for each set; with
# to_record, the hashes of those sequences in which Linux and Quire agree.

# Reads a log: text[WHO, SEQUENCE, n], lines[WHO, SEQUENCE]; the sequences in order of the file.
function read_log(who, file,    line, words, key)
{
    while ((getline line < file) > 0) {
        sub(/\r$/, "", line)
        if (split(line, words, " ") < 3)
            continue
        sub(/\..*/, "", words[2])
        key = words[1] " " words[2]
        if (!((who, key) in lines) && who == "quire")
            sequences[++sequence_count] = key
        text[who, key, ++lines[who, key]] = line
        hash[who, key, lines[who, key]] = words[3]
    }
    close(file)
}

# Hashes of three digits, one behind the other.
function read_record(file,    line, words, n, i, key)
{
    while ((getline line < file) > 0) {
        if (line ~ /^#/)
            continue
        split(line, words, "\t")
        key = words[1] " " words[2]
        n = length(words[3]) / 3
        lines["linux", key] = n
        for (i = 1; i <= n; i++) {
            hash["linux", key, i] = substr(words[3], 3 * i - 2, 3)
            text["linux", key, i] = "something else, by the record; ./quire differ " words[1] " --first " words[2] " --seeds 1 tells what"
        }
    }
    close(file)
}

# Lines of known.tsv: what Quire says, what Linux says (extended regular expressions), and why.
function read_known(file,    line, words)
{
    while ((getline line < file) > 0) {
        if (line ~ /^#/ || line == "")
            continue
        split(line, words, "\t")
        known_quire[++known_count] = words[1]
        known_linux[known_count] = words[2]
    }
    close(file)
}

function is_known(ours, theirs,    i)
{
    for (i = 1; i <= known_count; i++)
        if (ours ~ known_quire[i] && theirs ~ known_linux[i])
            return 1
    return 0
}

# The first line that differs; 0: none.
function first_difference(key,    n, i)
{
    n = lines["quire", key] > lines["linux", key] ? lines["quire", key] : lines["linux", key]
    for (i = 1; i <= n; i++)
        if (hash["quire", key, i] != hash["linux", key, i] || (!record && text["quire", key, i] != text["linux", key, i]))
            return i
    return 0
}

function said(who, key, i)
{
    return (who, key, i) in text ? text[who, key, i] : "nothing more"
}

# What a difference is counted under: the call and both results.
function class_of(ours, theirs,    words, a, b)
{
    split(ours, words, " ")
    a = ours; b = theirs
    if (ours !~ / = / || theirs !~ / = /)
        return words[1] " " words[4] " and state"
    sub(/.* = /, "", a); sub(/.* = /, "", b)
    sub(/ .*/, "", a); sub(/ .*/, "", b)
    sub(/A\+.*/, "A", a); sub(/A\+.*/, "A", b)
    return words[1] " " words[4] " " a " " b
}

function report_set(set,    i, key, d, class, classes, seen, alike, known_ones, failures)
{
    alike = known_ones = failures = classes = 0
    delete seen
    for (i = 1; i <= sequence_count; i++) {
        key = sequences[i]
        if (index(key, set " ") != 1 || !(("linux", key) in lines))
            continue
        d = first_difference(key)
        if (!d)
            alike++
        else if (is_known(said("quire", key, d), said("linux", key, d)))
            known_ones++
        else {
            failures++
            class = class_of(said("quire", key, d), said("linux", key, d))
            if (!(class in seen))
                order[++classes] = class
            if (++seen[class] == 1)
                example[class] = "#   Quire: " substr(said("quire", key, d), 1, 600) "\n#   Linux: " substr(said("linux", key, d), 1, 600)
        }
    }
    points++
    if (failures || alike + known_ones == 0)
        status = 1
    printf "%s %d - %s: %d sequences alike, %d with a known difference, %d with others\n", \
        failures || alike + known_ones == 0 ? "not ok" : "ok", points, set, alike, known_ones, failures
    for (i = 1; i <= classes; i++)
        printf "# %d times\n%s\n", seen[order[i]], example[order[i]]
}

function print_record(    i, j, key, told)
{
    for (i = 1; i <= sequence_count; i++) {
        key = sequences[i]
        if (first_difference(key))
            continue
        told = key
        sub(/ /, "\t", told)
        printf "%s\t", told
        for (j = 1; j <= lines["linux", key]; j++)
            printf "%s", hash["linux", key, j]
        printf "\n"
    }
}

BEGIN {
    read_known(known)
    read_log("quire", quire)
    if (record)
        read_record(record)
    else
        read_log("linux", linux)
    if (to_record) {
        print_record()
        exit
    }
    count = split(sets, list, " ")
    for (s = 1; s <= count; s++)
        report_set(list[s])
    print "1.." points
    exit status
}
