// ClientChecks: what every client may rely on, checked where it would hurt.
//
//   Exclusion       (P2, P4) whenever a client looks and its library says that it holds, no other
//                   client believes, by its own clock, in another hold of that lock
//   FencedWork      (P1) the resource never refuses a client that is right in believing so
//   NoStaleWrite    no write is accepted under a token below one that the resource has seen
//   NoLostUpdate    an accepted write is of what the resource holds: nobody wrote in between
//   Histories       what all clients saw of one lock is what a fenced mutex would have done
//                   (tests/support/history: two checkers, which must agree)
//   NeverEarly      (P3) when the log ends a session, its client has given it up already; when it
//                   frees what a cluster before it had granted, the owner believes in it no more
//
// A restore of the cluster excuses what checks/era_ledger.h says, and nothing else: what was
// granted after the backup may be believed in beside, and refused after, what the new cluster
// grants.
//
// The resources are those behind the locks: a value, and the FenceGate that ships.
//
// A broken one ends the process (LOCKD_CHECK).
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_CLIENT_CHECKS_H_
#define LOCKD_TESTS_SIM_CLIENT_CHECKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/fence_gate.h"
#include "tests/sim/checks/era_ledger.h"
#include "tests/sim/checks/session_ledger.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_client.h"
#include "tests/support/history/recorder.h"

namespace lockd::sim {

class ClientChecks : public ClientListener {
 public:
  ClientChecks(const Scheduler* scheduler, const std::vector<std::unique_ptr<SimClient>>* clients)
      : scheduler_(scheduler), clients_(clients) {}

  // The log ended this session by itself.
  void OnSessionExpired(SessionId session);
  // A linearizable read of the lock's owner, sent at `asked_at` in this era, is answered now.
  void OnOwnerRead(const std::string& lock, Time asked_at, size_t era, FencingToken owner);
  // This hold is over in the log.
  void OnHoldEnded(const std::string& lock, FencingToken token);
  // The cluster is lost, and another one is made from a backup (EraLedger::Begins).
  void OnRestored(FencingToken last, const Holders& at_end, const Holders& at_begin);
  [[nodiscard]] const EraLedger& eras() const { return eras_; }
  // At the end of a run.
  void CheckHistories();

  void OnAcquireCalled(SimClient& client, const std::string& lock,
                       client::OperationId operation) override;
  void OnAcquireEnded(SimClient& client, const std::string& lock, client::OperationId operation,
                      client::AcquireStatus status, FencingToken token) override;
  void OnHoldBelieved(SimClient& client, const std::string& lock, FencingToken token) override;
  void OnHoldLost(SimClient& client, const std::string& lock, FencingToken token) override;
  void OnReleaseCalled(SimClient& client, const std::string& lock, FencingToken token) override;
  void OnReleaseEnded(SimClient& client, const std::string& lock, FencingToken token,
                      client::ReleaseStatus status) override;
  void OnLease(SessionId session, Time sent_at, int64_t ttl_ms) override;
  void OnSessionGivenUp(SessionId session) override;
  std::optional<uint64_t> Read(const std::string& lock, FencingToken token,
                               bool is_believed) override;
  bool Write(const std::string& lock, FencingToken token, uint64_t seen, bool is_believed) override;

  [[nodiscard]] uint64_t reads() const { return reads_; }
  [[nodiscard]] uint64_t works() const { return works_; }
  [[nodiscard]] uint64_t stale_writes_refused() const { return stale_writes_refused_; }
  // Over all that was checked.
  [[nodiscard]] uint64_t hash() const { return hash_; }

 private:
  struct Resource {
    FenceGate gate;
    FencingToken largest_seen;  // what the gate must have seen, kept apart from it
    uint64_t value = 0;
  };
  void CheckBelievedNoMore(const std::string& lock, FencingToken token) const;
  bool Admit(const std::string& lock, Resource& resource, FencingToken token, bool is_believed);

  const Scheduler* const scheduler_;
  const std::vector<std::unique_ptr<SimClient>>* const clients_;
  std::map<std::string, Resource> resources_;
  SessionLedger sessions_;
  EraLedger eras_;
  history::HistoryRecorder recorder_;
  // Operations without an end yet, by client (and by token: a hold is released once).
  std::map<std::pair<HostId, client::OperationId>, history::OperationId> acquires_;
  std::map<FencingToken, history::OperationId> releases_;
  uint64_t reads_ = 0;
  uint64_t works_ = 0;
  uint64_t stale_writes_refused_ = 0;
  uint64_t hash_ = 0;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_CLIENT_CHECKS_H_
