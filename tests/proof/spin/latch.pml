/* One row of a table: its writer is killed at any step, started again, or gone for good.
 *
 * As shipped: two copies; the writer fills the one that nobody reads, then raises the sequence.
 * A reader gets the value that belongs to the sequence, or knows that the writer was faster; and
 * when nobody writes any more, its first try succeeds, whatever state the writer left behind.
 *
 * Known bad:
 * -DSEQLOCK          one copy, the sequence odd while it is written (a new writer goes on from
 *                    there correctly; the trouble is the time until there is one)
 * -DPUBLISH_FIRST    the sequence before the last of the copy
 * -DNO_CHECK         a reader that does not look at the sequence again
 */
#ifndef WRITES
#define WRITES 4
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define READS 3
#define TRIES 2

byte sequence, one[2], two[2];
byte published[WRITES + 1]; /* by version; 0 is what a fresh row holds */
byte attempts, deaths;
bool gone; /* the writer has ended, or was killed and nobody starts it again */

#define WRITER(step) \
    if :: step \
       :: atomic { deaths < DEATHS -> deaths++; goto start } \
       :: atomic { gone = true; goto end } \
    fi

#ifdef SEQLOCK
#define HIDDEN 0
#define SHOWN(at) 0
#define VERSION(at) ((at) / 2)
#else
#define HIDDEN ((mine + 1) % 2)
#define SHOWN(at) ((at) % 2)
#define VERSION(at) (at)
#endif

active proctype writer() {
    byte mine, content;
start:
    atomic { mine = 0; content = 0 }
    do
    :: VERSION(sequence) == WRITES -> break
    :: VERSION(sequence) < WRITES ->
#ifdef SEQLOCK
        WRITER(mine = sequence - sequence % 2);
        WRITER(sequence = mine + 1);
#else
        WRITER(mine = sequence);
#endif
        WRITER(d_step { attempts++; content = attempts; one[HIDDEN] = content });
#ifdef PUBLISH_FIRST
        WRITER(d_step { published[VERSION(mine) + 1] = content; sequence = mine + 1 });
        WRITER(two[HIDDEN] = content)
#else
        WRITER(two[HIDDEN] = content);
#ifdef SEQLOCK
        WRITER(d_step { published[VERSION(mine) + 1] = content; sequence = mine + 2 })
#else
        WRITER(d_step { published[VERSION(mine) + 1] = content; sequence = mine + 1 })
#endif
#endif
    od;
    gone = true;
end:
    skip
}

active proctype reader() {
    byte reads, tries, before, first, second, last;
    bool calm; /* nobody writes any more */
    do
    :: reads == READS -> break
    :: reads < READS ->
        tries = 0;
        do
        :: tries == TRIES -> assert(!calm); break
        :: tries < TRIES ->
            d_step { calm = gone; before = sequence; tries++ };
            first = one[SHOWN(before)];
            second = two[SHOWN(before)];
            if
#ifdef NO_CHECK
            :: true ->
#elif defined(SEQLOCK)
            :: sequence == before && before % 2 == 0 ->
#else
            :: sequence == before ->
#endif
                assert(first == second);
                assert(first == published[VERSION(before)]);
                assert(before >= last); /* time does not run backwards */
                last = before;
                break
            :: else -> assert(!calm)
            fi
        od;
        atomic { reads++; first = 0; second = 0 }
    od
}

ltl reading_ends { <> (reader:reads == READS) }
