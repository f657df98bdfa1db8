/* One ring, its producer and its consumer, each killed at any step and started again.
 *
 * Steps are those of shm/atomics.h, one shared access each; whatever is private to a process is
 * lost with it. A message carries its content twice, so that a torn one shows. Content is new with
 * every attempt: a successor does not write what its predecessor was about to write.
 *
 * As shipped: roll forward over committed slots, count a message when its slot is given back.
 * -DBATCH=2 is pt_ring_pop_many, BATCH=1 pt_ring_pop.
 *
 * Known bad:
 * -DNO_ROLL_FORWARD  a producer goes on at the hint
 * -DRESUME_AT_READ   a producer goes on where the reader is
 * -DCOMMIT_FIRST     the commit word before the last of the payload
 * -DLOOKS_ONCE       a producer that found the ring full never looks again
 * -DHANDLE_LATER     a message counts when its reader has acted on it, which is after the slot was
 *                    given back: the message in hand is lost with its reader
 */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef MESSAGES
#define MESSAGES 5
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef BATCH
#define BATCH 1
#endif

byte commit[SLOTS], one[SLOTS], two[SLOTS];
byte hint, given_back;

byte published[MESSAGES]; /* what was committed as each message, 0 before */
byte attempts;
byte delivered; /* messages that readers have taken, in order */
byte producer_deaths, consumer_deaths;

#define AT (position % SLOTS)
#define PRODUCER(step) \
    if :: step :: atomic { producer_deaths < DEATHS -> producer_deaths++; goto start } fi
#define CONSUMER(step) \
    if :: step :: atomic { consumer_deaths < DEATHS -> consumer_deaths++; goto start } fi

/* Everything that was copied out is the reader's: in order, without a gap, nothing twice, whole. */
#define HAND_OVER \
    for (message : position - taken .. position - 1) { \
        assert(message == delivered); \
        assert(first[message + taken - position] == second[message + taken - position]); \
        assert(first[message + taken - position] == published[message]); \
        delivered++ \
    } \
    taken = 0; message = 0

active proctype producer() {
    byte position, cache, content;
start:
    atomic { position = 0; cache = 0; content = 0 }
#ifdef RESUME_AT_READ
    PRODUCER(position = given_back);
#else
    PRODUCER(position = hint);
#ifndef NO_ROLL_FORWARD
    do
    :: commit[AT] == position + 1 -> position++
    :: commit[AT] != position + 1 -> break
    :: atomic { producer_deaths < DEATHS -> producer_deaths++; goto start }
    od;
    PRODUCER(hint = position);
#endif
#endif
    PRODUCER(cache = given_back);
    do
    :: position == MESSAGES -> break
    :: position < MESSAGES ->
        do
        :: position - cache < SLOTS -> break
        :: position - cache >= SLOTS ->
#ifdef LOOKS_ONCE
            PRODUCER(skip)
#else
            PRODUCER(cache = given_back)
#endif
        od;
        PRODUCER(d_step { attempts++; content = attempts; one[AT] = content });
#ifdef COMMIT_FIRST
        PRODUCER(d_step { published[position] = content; commit[AT] = position + 1 });
        PRODUCER(two[AT] = content);
#else
        PRODUCER(two[AT] = content);
        PRODUCER(d_step { published[position] = content; commit[AT] = position + 1 });
#endif
        PRODUCER(d_step { position++; hint = position })
    od
}

active proctype consumer() {
    byte position, taken, message, first[BATCH], second[BATCH];
start:
    atomic {
        position = 0;
        for (taken : 0 .. BATCH - 1) { first[taken] = 0; second[taken] = 0 }
        taken = 0
    }
    CONSUMER(position = given_back);
    do
    :: position == MESSAGES -> break
    :: position < MESSAGES ->
        do
        :: taken < BATCH && position < MESSAGES && commit[AT] == position + 1 ->
            CONSUMER(first[taken] = one[AT]);
            CONSUMER(d_step { second[taken] = two[AT]; taken++; position++ })
        :: taken == BATCH || position == MESSAGES || commit[AT] != position + 1 -> break
        :: atomic { consumer_deaths < DEATHS -> consumer_deaths++; goto start }
        od;
        if
        :: taken == 0
        :: taken != 0 ->
#ifdef HANDLE_LATER
            CONSUMER(given_back = position);
#endif
            CONSUMER(atomic { HAND_OVER; given_back = position })
        fi
    od
}

ltl everything_arrives { <> (delivered == MESSAGES) }
