/* Two processes make the same segment at once; each may be killed at any step and started again.
 *
 * As shipped (shm/segment.py): build under a private name, magic last, link() to the final name;
 * who finds the name taken drops its own file and attaches the other's. A third process attaches
 * whenever it finds the name.
 *
 * Known bad:
 * -DEXCLUSIVE        open the final name with O_EXCL and fill it there; others wait for the magic
 * -DNO_WAIT          the same, and others do not wait
 * -DRENAME           rename() instead of link(): the later one replaces the earlier
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#define FILES (2 + DEATHS)

byte final;  /* the file under the final name; 0 if there is none */
byte files;  /* made so far; their numbers start at 1 */
bool allocated[FILES + 1], described[FILES + 1], magic[FILES + 1];
byte attached[2]; /* the file that each process has mapped */
byte deaths, done;

#define MAKER(step) \
    if :: step :: atomic { deaths < DEATHS -> deaths++; goto start } fi
#define FILL(file) \
    MAKER(allocated[file] = true); \
    MAKER(described[file] = true); \
    MAKER(magic[file] = true)
#define WHOLE(file) (allocated[file] && described[file] && magic[file])

proctype maker(byte me) {
    byte mine;
start:
    atomic { mine = 0; attached[me] = 0 }
#if defined(EXCLUSIVE) || defined(NO_WAIT)
    MAKER(atomic { if :: final == 0 -> files++; mine = files; final = mine :: else fi });
    if
    :: mine != 0 -> FILL(mine)
    :: mine == 0 ->
#ifdef EXCLUSIVE
        MAKER(magic[final])
#else
        skip
#endif
    fi;
#else
    MAKER(d_step { files++; mine = files });
    FILL(mine);
#ifdef RENAME
    MAKER(final = mine);
#else
    MAKER(d_step { if :: final == 0 -> final = mine :: else fi });
#endif
#endif
    MAKER(attached[me] = final);
    assert(WHOLE(attached[me]));
    done++
}

active proctype onlooker() {
    byte found, looks;
    do
    :: looks == 2 -> break
    :: looks < 2 ->
        atomic { found = final; looks++ }
        if
        :: found == 0 /* "start the system first" */
        :: found != 0 ->
#ifdef EXCLUSIVE
            magic[found];
#endif
            assert(WHOLE(found))
        fi
    od
}

init {
    atomic { run maker(0); run maker(1) }
    done == 2;
    assert(attached[0] == attached[1]); /* one world */
    assert(attached[0] == final)
}
