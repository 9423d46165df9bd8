// A cluster of Raft members under the control of a script: nothing happens that the script does not
// ask for. No message arrives, no write becomes durable, no tick passes by itself.
//
//   RaftEnv env;
//   RunScriptFile(path, [&env](const Command& command) { return env.Run(command); }, rewrite);
//
// The verbs (verb.h) are written in terms of the steps below. Each step says in the output what it
// did, at one of three levels, and is watched by Safety: a broken safety rule ends the script.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_RAFT_ENV_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_RAFT_ENV_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "consensus/raft/types.h"
#include "tests/support/datadriven/datadriven.h"
#include "tests/support/raft_env/member.h"
#include "tests/support/raft_env/network.h"
#include "tests/support/raft_env/safety.h"

namespace lockd::raft_env {

// How much of what happens is shown.
enum class Detail : uint8_t {
  kQuiet,  // nothing but what a verb was asked to print
  kBrief,  // also changes of role, term, leader and commit index, answered reads, crashes
  kFull,   // also every message delivered or lost, and every write
};

class RaftEnv {
 public:
  // Carries out one command of a script and returns what it prints, "ok" when it prints nothing.
  // InvalidArgument: the command is wrong. Internal: a safety rule is broken. FailedPrecondition:
  // an `expect` is not met.
  [[nodiscard]] absl::StatusOr<std::string> Run(const datadriven::Command& command);

  // -- members --
  void AddMember(const raft::Options& options);
  // Replaces what the member has on disk and starts it on that.
  void Preload(NodeId id, Disk disk);
  [[nodiscard]] bool Exists(NodeId id) const { return members_.count(id) != 0; }
  [[nodiscard]] Member& member(NodeId id) { return members_.at(id); }
  [[nodiscard]] std::vector<NodeId> ids() const;
  // Power off: what waits to be written, read or applied is gone, but for the first `writes_kept`
  // waiting writes, and of the one after those its hard state and first `entries_kept` entries when
  // that is not zero. A disk may well have stored what it has not yet reported.
  void Crash(NodeId id, uint64_t writes_kept, uint64_t entries_kept);
  void Restart(NodeId id);

  // -- steps of a running member --
  void Tick(NodeId id, uint64_t count);
  void Campaign(NodeId id);
  void SuspectLeader(NodeId id);
  void RequestRead(NodeId id, uint64_t context);
  // Takes what the core has ready: sends, starts the write, queues reads and entries to apply (and
  // applies them unless that is stalled). `show_sent`: messages sent are shown as well.
  void TakeReady(NodeId id, raft::TakeWrite take_write, bool show_sent);
  // The oldest waiting write is durable; its messages leave. Needs one.
  void CompleteWrite(NodeId id);
  // Answers the oldest waiting read from the disk. Needs one.
  void CompleteRead(NodeId id);
  // Applies the next entry of to_apply. Needs one.
  void ApplyOne(NodeId id);

  // -- snapshots: the part of the owner --
  // All that the member has applied is in a durable snapshot.
  void TakeSnapshot(NodeId id);
  // Its log forgets the entries up to `index`, which its snapshot covers.
  void Compact(NodeId id, raft::Index index);
  // A piece of its snapshot, if the core lets it.
  void SendChunk(Link link, uint64_t offset, uint64_t bytes);
  // The snapshot that has come in whole is durable and loaded; the leader is told.
  void RestoreSnapshot(NodeId id);
  // Every snapshot has as many, so that scripts can cut them into pieces.
  static constexpr uint64_t kSnapshotBytes = 100;

  // -- messages --
  [[nodiscard]] Network& network() { return network_; }
  // Hands a message, taken from the network or made by hand, to its receiver: lost when that is
  // down or the link is cut.
  void Deliver(const raft::Message& message);
  void Inject(const raft::Message& message);

  // Takes Readies, completes writes and reads (unless stalled) and delivers messages to these
  // members, over and over, until nothing is left to do. Messages to others stay in flight, and so
  // do appends and heartbeats with `votes_only`.
  [[nodiscard]] absl::Status Stabilize(const std::vector<NodeId>& ids, bool votes_only = false);

  // -- output --
  [[nodiscard]] Detail detail() const { return detail_; }
  void set_default_detail(Detail detail) { default_detail_ = detail; }
  // What the verb was asked to print: always shown.
  template <typename... Parts>
  void Print(const Parts&... parts) {
    Show(Detail::kQuiet, absl::StrCat(parts...));
  }
  template <typename... Parts>
  void Note(const Parts&... parts) {
    Show(Detail::kBrief, absl::StrCat(parts...));
  }
  template <typename... Parts>
  void Trace(const Parts&... parts) {
    Show(Detail::kFull, absl::StrCat(parts...));
  }
  // Stands before every line that follows, e.g. the number of a tick.
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }

 private:
  // What was last shown of a member.
  struct Seen {
    raft::Role role = raft::Role::kFollower;
    raft::Term term;
    NodeId leader;
    raft::Index commit;
    friend bool operator==(const Seen&, const Seen&) = default;
  };

  [[nodiscard]] Seen Look(NodeId id) const;
  // Notes what has changed at the member, and lets Safety look.
  void Observe(NodeId id);
  void NoteRole(NodeId id, const Seen& now);
  void Send(const raft::Message& message, bool show);
  // Keeps a piece that continues what is there, and answers how far that is.
  void OnChunk(NodeId id, const raft::ReceivedChunk& received);
  [[nodiscard]] raft::LogBase BaseAt(NodeId id, raft::Index index);
  // One round of Stabilize over one member; true when there was something to do.
  bool Settle(NodeId id);
  bool DeliverAll(const std::vector<NodeId>& receivers, bool votes_only);
  void Show(Detail detail, absl::string_view line);

  std::map<NodeId, Member> members_;
  std::map<NodeId, Seen> seen_;
  Network network_;
  Safety safety_;

  std::string output_;
  std::string prefix_;
  Detail default_detail_ = Detail::kFull;
  Detail detail_ = Detail::kFull;
};

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_RAFT_ENV_H_
