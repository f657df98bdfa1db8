/* Two candidates for one role, its kernel lock and its epoch, and the table that the holder writes.
 *
 * A candidate is killed at any step and started again; the kernel frees its lock at that moment.
 * With -DLOSES_LOCK one holder, once, at any step, also loses the lock and lives: it may stand
 * still for as long as it likes, and then goes on.
 *
 * As shipped: lock, raise the epoch, then work; look at the epoch before the first byte and again
 * before the store that publishes. Then, with deaths only, no reader sees a mixture; and whoever
 * has lost its lock begins no publication once its successor has written. It may finish the one
 * that it was in: -DSILENT_AT_ONCE asks for more than the epoch can give, and fails.
 *
 * Known bad:
 * -DNO_LOCK          an epoch and no lock
 * -DLOCK_STAYS       a lock that outlives its holder
 * -DRAISES_LATE      (with LOSES_LOCK) a successor that works first and raises the epoch then
 * -DNEVER_LOOKS      (with LOSES_LOCK) a writer that does not look at the epoch
 */
#ifndef DEATHS
#define DEATHS 2
#endif
#define PUBLICATIONS 2
#define EPOCHS_MAX (2 + DEATHS)

byte lock;  /* 0, or the candidate that holds it */
byte epoch; /* of the role; grows */
byte sequence, one[2], two[2], contents;

byte deaths, done;
bool lost;                 /* somebody has lost the lock and lives */
bool held[EPOCHS_MAX + 1]; /* this epoch has had a holder */
byte newest_writer;        /* highest epoch under which a byte was written */

#ifdef LOCK_STAYS
#define FREE_LOCK skip
#else
#define FREE_LOCK if :: lock == me -> lock = 0 :: else fi
#endif
#ifdef LOSES_LOCK
#define LOSE :: atomic { raised && !lost && lock == me -> lost = true; lock = 0 }
#else
#define LOSE
#endif

#define CANDIDATE(step) \
    do \
    :: step; break \
    :: atomic { deaths < DEATHS -> deaths++; FREE_LOCK; goto start } \
    LOSE \
    od

#ifdef NEVER_LOOKS
#define LOOK_AND(then) CANDIDATE(then)
#else
#define LOOK_AND(then) \
    CANDIDATE(atomic { if :: epoch == mine || !raised -> then :: else -> goto refused fi })
#endif

#define RAISE \
    CANDIDATE(mine = epoch + 1); \
    CANDIDATE(d_step { assert(!held[mine]); held[mine] = true; epoch = mine; raised = true })

proctype candidate(byte me) {
    byte mine, at, content, published;
    bool raised;
start:
    atomic { mine = 0; at = 0; content = 0; published = 0; raised = false }
#ifndef NO_LOCK
    atomic { lock == 0 -> lock = me }
#endif
#ifdef RAISES_LATE
    CANDIDATE(mine = epoch + 1);
#else
    RAISE;
#endif
    do
    :: published == PUBLICATIONS -> break
    :: published < PUBLICATIONS ->
        LOOK_AND(assert(newest_writer <= mine)); /* nobody begins after its successor wrote */
        CANDIDATE(at = sequence);
        CANDIDATE(d_step {
            contents++; content = contents; one[(at + 1) % 2] = content;
            if :: mine > newest_writer -> newest_writer = mine :: else fi
        });
        CANDIDATE(two[(at + 1) % 2] = content);
        LOOK_AND(skip);
        CANDIDATE(d_step {
#ifdef SILENT_AT_ONCE
            assert(newest_writer <= mine);
#endif
            sequence = at + 1; published++
        });
#ifdef RAISES_LATE
        if :: raised :: !raised -> RAISE fi
#endif
    od;
refused:
    atomic { FREE_LOCK; done++ }
}

#ifndef LOSES_LOCK
active proctype reader() {
    byte before, first, second, tries;
    do
    :: tries == 2 -> break
    :: tries < 2 ->
        before = sequence;
        first = one[before % 2];
        second = two[before % 2];
        assert(sequence != before || first == second);
        tries++
    od
}
#endif

init {
    atomic { run candidate(1); run candidate(2) }
    done == 2
}
