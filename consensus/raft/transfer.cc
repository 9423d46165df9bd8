#include "consensus/raft/transfer.h"

#include <algorithm>
#include <tuple>

namespace lockd::raft {

bool Transfer::IsDue(const std::vector<Progress>& followers, Index last_index) const {
  if (is_told_ && !is_due_again_) return false;
  return std::any_of(followers.begin(), followers.end(), [&](const Progress& follower) {
    return follower.id() == to_ && follower.match_index() == last_index;
  });
}

NodeId BestTarget(const std::vector<Progress>& followers, const Configuration& configuration,
                  Tick heard_from) {
  const auto stays = [&configuration](NodeId id) {
    return std::binary_search(configuration.voters.begin(), configuration.voters.end(), id);
  };
  const Progress* best = nullptr;
  for (const Progress& follower : followers) {
    if (!stays(follower.id()) || follower.heard_at() < heard_from) continue;
    if (best == nullptr || std::tuple(best->match_index(), best->heard_at()) <
                               std::tuple(follower.match_index(), follower.heard_at())) {
      best = &follower;
    }
  }
  return best == nullptr ? NodeId{0} : best->id();
}

}  // namespace lockd::raft
