// Refounding: a new cluster out of the state of an old one, which is lost: from a backup, or from
// what a minority of its nodes has left.
//
//   lockd restore   LockDatabase::PrepareRefounding, on each founder from the same file: no
//   cluster,
//                   no members, every session ended; what was held stays so for a lock-delay
//   founding        Refound, the new cluster's first command: members, cluster id, and where ids
//   and
//                   tokens go on
//
// What was granted after the backup was taken is not known here, and clients may still act on it.
// Three things make up for that: no session goes on; a lock that was held then is not granted for
// as long as its owner may believe in it; and every token is above all that the old cluster, or
// another one refounded from the same backup, has ever given. For the last one there is no other
// source than the clock on the wall, which stands nowhere else in what lockd decides.
//
// Threading: pure value.
#ifndef LOCKD_SERVER_STATE_REFOUNDING_H_
#define LOCKD_SERVER_STATE_REFOUNDING_H_

#include <cstdint>
#include <optional>

#include "protocol/base/time.h"

namespace lockd::state {

// Where ids and tokens of a cluster go on that is refounded at `now`, when `last` is the last
// number that its backup knows: (minutes since 2024) * 2^37, and 2^21 for each further millisecond.
// A cluster that gives fewer than 2^21 numbers a millisecond stays below the clock, and any two
// refoundings in different milliseconds get numbers of their own, even of one backup.
//
// nullopt: not yet. A number of this minute or of a later one was given already, so the clock is
// behind that of the node that refounded the cluster before, or it was done within this minute.
// Lasts until 2151.
[[nodiscard]] std::optional<uint64_t> NumbersFrom(uint64_t last, WallTime now);

}  // namespace lockd::state

#endif  // LOCKD_SERVER_STATE_REFOUNDING_H_
