// The messages between the scripted members: in flight until the script delivers or drops them, in
// the order in which they were sent.
//
// A link is one-way. A message is lost when its link is cut while it is sent or while it is
// delivered.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_NETWORK_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "tests/support/datadriven/arguments.h"

namespace lockd::raft_env {

struct Link {
  NodeId from;
  NodeId to;
  friend auto operator<=>(const Link&, const Link&) = default;
};

// Which of the messages in flight a verb speaks of; see kHelp.
struct Selection {
  std::optional<NodeId> from;
  std::optional<NodeId> to;
  std::optional<std::string> type;
  std::optional<raft::Term> term;
  std::vector<uint64_t> at;  // positions among the matching ones, from 1, in this order
  uint64_t skip = 0;
  std::optional<uint64_t> count;
  bool reversed = false;

  // What the arguments mean that verbs with a selection share.
  static constexpr absl::string_view kHelp =
      "Messages are chosen by sender, receiver, type (pre-vote, pre-vote-reply, vote, vote-reply, "
      "append, append-reply, heartbeat, heartbeat-reply, snapshot-chunk, snapshot-reply, "
      "timeout-now) and term; of those that match, `at` picks positions in the order given, "
      "`reversed` turns the order round, `skip` then leaves out the first ones, and `count` "
      "limits.";
  static Selection Take(datadriven::Arguments& args);

  // Positions in `messages`, in the order asked for.
  [[nodiscard]] std::vector<size_t> Apply(const std::vector<raft::Message>& messages) const;
};

class Network {
 public:
  [[nodiscard]] const std::vector<raft::Message>& in_flight() const { return in_flight_; }
  [[nodiscard]] const std::vector<raft::Message>& held() const { return held_; }

  void Send(raft::Message message) { in_flight_.push_back(std::move(message)); }
  // Takes the messages at these positions out of what is in flight, in the order of `positions`.
  [[nodiscard]] std::vector<raft::Message> Take(const std::vector<size_t>& positions);
  // Lays a message aside, where no delivery finds it until Release puts all of them back in flight.
  void Hold(raft::Message message) { held_.push_back(std::move(message)); }
  void Release(const Selection& selection);

  void Cut(Link link) { cut_.insert(link); }
  void Heal(Link link) { cut_.erase(link); }
  void HealAll() { cut_.clear(); }
  [[nodiscard]] bool IsCut(Link link) const { return cut_.count(link) != 0; }

 private:
  std::vector<raft::Message> in_flight_;
  std::vector<raft::Message> held_;
  std::set<Link> cut_;
};

// "pre-vote", "append-reply", ...
[[nodiscard]] absl::string_view TypeName(const raft::Message& message);

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_NETWORK_H_
