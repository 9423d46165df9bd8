// SimClient: one client process: the shipping session machine, and a program that uses it.
//
// The program runs a few tasks. Each thinks, acquires one of the locks (trying, waiting for a time
// or for ever, with or without a maximum hold), works while it holds (it reads what the lock
// guards, and writes it changed), releases, and begins anew; now and then it cancels, and now and
// then a write leaves so late that the hold may be long gone. When its session is lost the process
// opens another one. It crashes, is paused and starts again.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_CLIENT_H_
#define LOCKD_TESTS_SIM_SIM_CLIENT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/session_fsm.h"
#include "protocol/base/random.h"
#include "tests/sim/fault_book.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/swarm.h"

namespace lockd::sim {

class SimClient;

// Who watches what the clients do: the checks, and the resources that the locks guard.
class ClientListener {
 public:
  virtual ~ClientListener() = default;
  virtual void OnAcquireCalled(SimClient& client, const std::string& lock,
                               client::OperationId operation) = 0;
  virtual void OnAcquireEnded(SimClient& client, const std::string& lock,
                              client::OperationId operation, client::AcquireStatus status,
                              FencingToken token) = 0;
  // The program looks, and its library says that it holds: after a grant, and before each piece of
  // work.
  virtual void OnHoldBelieved(SimClient& client, const std::string& lock, FencingToken token) = 0;
  // The hold is over for the program without a release of its own.
  virtual void OnHoldLost(SimClient& client, const std::string& lock, FencingToken token) = 0;
  virtual void OnReleaseCalled(SimClient& client, const std::string& lock, FencingToken token) = 0;
  virtual void OnReleaseEnded(SimClient& client, const std::string& lock, FencingToken token,
                              client::ReleaseStatus status) = 0;
  // The client counts on its session until `ttl_ms` after `sent_at`, which was the true time when
  // it sent what has been answered now.
  virtual void OnLease(SessionId session, Time sent_at, int64_t ttl_ms) = 0;
  // It counts on it no more: closed, lost, or the process has died.
  virtual void OnSessionGivenUp(SessionId session) = 0;
  // The resource behind a lock. Read: the value, or nothing when the token is refused. Write:
  // `seen` is what was read under this hold; false when refused.
  virtual std::optional<uint64_t> Read(const std::string& lock, FencingToken token,
                                       bool is_believed) = 0;
  virtual bool Write(const std::string& lock, FencingToken token, uint64_t seen,
                     bool is_believed) = 0;
};

class SimClient : public Host {
 public:
  struct Options {
    HostId host;
    uint64_t seed = 0;
    Swarm swarm;
    client::UsedNumbers used_numbers = {};  // by each of its sessions
    std::vector<std::string> endpoints;
    std::function<HostId(const std::string& address)> host_of;
    ClientListener* listener = nullptr;
    Omissions omitted_operations;    // acquires of this run that are not made, for shrinking
    uint64_t* operations = nullptr;  // counts the acquires of the whole run
    std::function<void(const std::string&)> trace;  // may be empty
  };

  SimClient(Scheduler* scheduler, SimNetwork* network, FaultBook* faults, Options options);

  void Start();
  void Crash();
  void Pause();
  void Resume();
  // No new acquires; what is held is released, then the session is closed.
  void Finish();

  [[nodiscard]] bool is_up() const { return fsm_ != nullptr; }
  [[nodiscard]] bool is_paused() const { return is_paused_; }
  [[nodiscard]] bool is_finished() const { return is_finished_; }
  // Believes in a hold at this moment.
  [[nodiscard]] bool IsHolding() const;
  // The address of the node that it is attached to; empty without one.
  [[nodiscard]] std::string server_address() const;
  // What it has sent on its present or last connection, from the hello on.
  [[nodiscard]] const std::string& sent() const { return sent_; }
  [[nodiscard]] HostId host() const { return options_.host; }
  [[nodiscard]] SessionId session_id() const;
  // The holds of this lock that the program, looking now, would believe in.
  [[nodiscard]] std::vector<FencingToken> BelievedHolds(const std::string& lock) const;
  // Whether it would believe in its session now.
  [[nodiscard]] bool BelievesInSession() const;
  [[nodiscard]] std::string Describe() const;

  struct Counts {
    uint64_t acquires = 0;
    uint64_t grants = 0;
    uint64_t releases = 0;
    uint64_t timeouts = 0;
    uint64_t losses = 0;
    uint64_t unavailable = 0;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId link, std::string bytes) override;
  void OnLinkClosed(LinkId link) override;

 private:
  struct Task {
    client::OperationId operation;
    std::string lock;
    FencingToken token;  // not zero: held, as far as the task knows
    FencingToken last_token;
    std::optional<uint64_t> seen;  // what it has read under this hold
    bool is_busy = false;          // an acquire, a hold or a release is under way
  };

  void InProcess(std::function<void()> action);
  void InProcessAfter(Time delay, std::function<void()> action);
  void OpenSession();
  void ScheduleTurn();
  void RunTurn();
  void CarryOut(client::SessionActions actions);
  void ArmTimer(LocalTime wakeup);
  void Think(size_t task);
  void BeginAcquire(size_t task);
  void Work(size_t task);
  void ReadOrWrite(Task& task);
  void MaybeWriteLate(const Task& task);
  void MaybeCancel(client::OperationId operation);
  void EndTask(size_t task);
  void OnAcquired(const client::AcquireDone& done);
  void NoteLease();
  void OnSessionEnded();
  void MaybeClose();
  Task* TaskOf(client::OperationId operation, size_t* number);
  void Trace(const std::string& text) const;

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  FaultBook* const faults_;
  const Options options_;
  Random random_;
  SimClock clock_;

  uint64_t life_ = 0;     // of the process
  uint64_t session_ = 0;  // counts the machines of all lives
  bool is_paused_ = false;
  bool is_finishing_ = false;
  bool is_finished_ = false;
  bool is_closing_ = false;
  std::unique_ptr<client::SessionFsm> fsm_;
  std::map<client::LinkId, LinkId> links_;  // the machine's names to the network's
  std::map<LinkId, client::LinkId> fsm_links_;
  std::string sent_;
  std::vector<Task> tasks_;
  std::deque<std::function<void()>> waiting_;
  LocalTime lease_deadline_;  // as noted last
  bool is_turn_scheduled_ = false;
  Time timer_at_ = SimClock::kNever;
  Counts counts_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_CLIENT_H_
