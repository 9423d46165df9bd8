// EraLedger: what holds of one cluster say to those of another one that was made from its backup.
//
// Each restore begins an era. Tokens tell eras apart, because all of a new one are above all that
// were ever granted. What was granted after the backup is forgotten, and its owner may go on
// believing in it until its lease is over: that is the loss that server/README.md tells of
// ("Restore"), and the only one.
//
//   MayMeet        two clients may believe in these two holds of one lock at the same time: they
//                  are of different eras, and the newer one began without the older hold
//   IsOfOlderEra   it was granted before the last restore
//   SaysNothing    an owner that was read in this era is of an older one, whose log had ended that
//                  hold before the restore brought it back: what the backup does not know cannot
//                  be told from what it says
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SIM_CHECKS_ERA_LEDGER_H_
#define LOCKD_TESTS_SIM_CHECKS_ERA_LEDGER_H_

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/ids.h"

namespace lockd::sim {

// By lock; zero: nobody holds it.
using Holders = std::map<std::string, FencingToken>;

class EraLedger {
 public:
  // `last` is the greatest token ever granted; who held what when the era before ended, and in the
  // state that the new one begins with.
  void Begins(FencingToken last, const Holders& at_end, const Holders& at_begin);

  // How many restores there were: the first era is 0.
  [[nodiscard]] size_t era() const { return eras_.size(); }
  [[nodiscard]] bool MayMeet(FencingToken a, FencingToken b) const;
  [[nodiscard]] bool IsOfOlderEra(FencingToken token) const { return EraOf(token) < era(); }
  [[nodiscard]] bool SaysNothing(size_t era, FencingToken owner) const;

 private:
  struct Era {
    FencingToken after;            // all its tokens are above
    std::set<FencingToken> held;   // when it began, all of older eras
    std::set<FencingToken> ended;  // of these, in the log of an older one
  };
  [[nodiscard]] size_t EraOf(FencingToken token) const;

  std::vector<Era> eras_;  // from the first restore on
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CHECKS_ERA_LEDGER_H_
