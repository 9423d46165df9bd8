// CommandStream: log entries as several clients with bad manners would make them.
//
// Few names, few sessions, limits and durations of the size of the time steps, so that everything
// races with everything: expiries with keep-alives, time-outs with grants, clean-up with its
// budget. Clients repeat requests, skip sequences, leave the window, use old epochs and wrong
// secrets, cancel what was never sent, forget what they own. Every choice comes from `choose`: a
// seeded generator in tests, the input's bytes in a fuzzer.
//
//   CommandStream stream(choose);
//   for (...) { LogEntry entry = stream.Next(); result = apply(entry); stream.Learn(entry, result);
//   }
#ifndef LOCKD_TESTS_SUPPORT_COMMAND_STREAM_H_
#define LOCKD_TESTS_SUPPORT_COMMAND_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/state/command.h"
#include "server/state/types.h"

namespace lockd::state {

struct LogEntry {
  ClusterTime time;
  std::optional<Batch> batch;  // none: a no-op
};

class CommandStream {
 public:
  // A number in [0, bound).
  using Choose = std::function<uint64_t(uint64_t bound)>;

  explicit CommandStream(Choose choose);

  [[nodiscard]] LogEntry Next();
  // What the entry did: sessions, epochs and tokens that later commands use.
  void Learn(const LogEntry& entry, const ApplyResult& result);

  // Every name that a command may carry.
  [[nodiscard]] static const std::vector<std::string>& Names();

 private:
  struct Client {
    SessionId session;
    std::string nonce;
    ConnectionEpoch epoch;
    bool is_over = false;
    Sequence last;
    Sequence acknowledged_through;
    std::vector<std::pair<Sequence, std::string>> acquires;    // the newest few
    std::vector<std::pair<std::string, FencingToken>> tokens;  // the newest few
    std::vector<Command> sent;                                 // the newest few mutations
  };

  [[nodiscard]] bool OneIn(uint64_t n) { return choose_(n) == 0; }
  [[nodiscard]] int64_t Duration(std::initializer_list<int64_t> choices);
  [[nodiscard]] Client& SomeClient();
  [[nodiscard]] const std::string& SomeName() { return Names()[choose_(Names().size())]; }
  [[nodiscard]] ConnectionEpoch SomeEpoch(const Client& client);
  [[nodiscard]] Sequence SomeAcquire(const Client& client);
  [[nodiscard]] std::vector<Sequence> SomeAcquires(const Client& client);
  [[nodiscard]] Sequence NextSequence(Client& client);
  [[nodiscard]] Mutation Head(Client& client);

  [[nodiscard]] Command SomeCommand();
  [[nodiscard]] Command SessionCommand();
  [[nodiscard]] Command OpenCommand();
  [[nodiscard]] Command ClusterCommand();
  [[nodiscard]] Command FoundingCommand();
  [[nodiscard]] Command MembersCommand();
  [[nodiscard]] Command MutatingCommand(Client& client);
  [[nodiscard]] Settings SomeSettings();
  void LearnMembers(const Command& accepted);
  void LearnToken(SessionId session, Sequence acquire, const AcquireResult& result);
  [[nodiscard]] Client* Find(SessionId session);

  Choose choose_;
  bool started_ = false;
  int64_t time_ms_ = 0;
  uint64_t nonces_ = 0;
  std::vector<Client> clients_;
  // As far as was learned.
  std::set<NodeId> members_;
  NodeId last_node_id_;
};

}  // namespace lockd::state

#endif  // LOCKD_TESTS_SUPPORT_COMMAND_STREAM_H_
