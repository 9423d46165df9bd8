// SessionCore: the session machine on sockets, clock and timer. One loop over its actions.
//
//            handles (any thread)                         the loop
//   Session, DistributedLock ──dispatch──► SessionFsm ──TakeActions──► Connection, timer,
//   completions
//
// All that happens in one turn of the loop leaves in one write: inputs from callers only note that
// a flush is due. Completions run inside a flush; what they ask for joins the same flush.
//
// Lifetime: handles share a SessionOwner. When the last of them goes and nothing is pending, the
// session is closed in the background. The core lives on by its own timer until the machine has
// nothing left to wait for. Nothing that sits in the io_context holds an owner: an owner may hold
// what the io_context lives in.
//
// Threading: loop only, but for SessionOwner.
#ifndef LOCKD_CLIENT_SESSION_CORE_H_
#define LOCKD_CLIENT_SESSION_CORE_H_

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "client/boot_clock.h"
#include "client/connection.h"
#include "client/session.h"
#include "client/session_fsm.h"
#include "client/validity.h"

namespace lockd::internal {

// Asio measures waits by a clock that stands still while the machine sleeps; a look at the boot
// clock every second finds out.
struct BootWaitTraits {
  static BootClock::duration to_wait_duration(const BootClock::duration& wait) {
    constexpr BootClock::duration kMost = std::chrono::seconds(1);
    return wait < kMost ? wait : kMost;
  }
  static BootClock::duration to_wait_duration(const BootClock::time_point& until) {
    return to_wait_duration(until - BootClock::now());
  }
};
using BootTimer = boost::asio::basic_waitable_timer<BootClock, BootWaitTraits>;

class SessionCore final : public std::enable_shared_from_this<SessionCore>,
                          public client::Connection::Listener {
 public:
  using OpenCompletion = Completion<absl::StatusOr<Session>>;

  // `anchor`, if not null, is what the io_context lives in: every handle keeps it alive.
  SessionCore(boost::asio::io_context& context, client::SessionConfig config, std::string nonce,
              uint64_t seed, std::weak_ptr<void> anchor);
  ~SessionCore();

  void Open(OpenCompletion done);
  // The identity of an acquire for its cancellation, before and after it has got its number.
  struct Cancellation {
    client::OperationId operation;
    bool requested = false;
  };
  void Acquire(std::string name, const AcquireOptions& options,
               std::shared_ptr<Cancellation> cancellation, Completion<AcquireResult> done);
  void Cancel(Cancellation& cancellation);
  void Release(client::OperationId hold, Completion<ReleaseStatus> done);
  void Close(Completion<absl::Status> done);
  // The last handle has gone.
  void OnUnowned() { ScheduleFlush(); }

  [[nodiscard]] boost::asio::io_context& context() const { return context_; }
  [[nodiscard]] const std::shared_ptr<SessionValidityState>& validity() const { return validity_; }
  [[nodiscard]] std::shared_ptr<void> anchor() const { return anchor_.lock(); }

 private:
  struct PendingAcquire {
    Completion<AcquireResult> done;
    std::string name;
  };

  void OnConnected(client::Connection& connection) override;
  void OnBytes(client::Connection& connection, absl::string_view bytes) override;
  void OnClosed(client::Connection& connection) override;

  void ScheduleFlush();
  void Flush();
  void CarryOut(client::SessionActions& actions);
  void Publish(const client::SessionActions& actions);
  void CompleteOpen(client::OpenDone& opened);
  void CompleteAcquire(client::AcquireDone& acquired);
  void CompleteClose(bool acknowledged);
  void CloseIfUnowned();
  std::shared_ptr<SessionOwner> Owner();
  void ArmTimer(LocalTime at);

  boost::asio::io_context& context_;
  const std::weak_ptr<void> anchor_;
  client::SessionFsm fsm_;
  const std::shared_ptr<SessionValidityState> validity_;

  std::shared_ptr<client::Connection> connection_;  // of link_
  client::LinkId link_;
  std::string to_send_;
  BootTimer timer_;
  LocalTime armed_for_ = kNeverLocal;
  bool flush_scheduled_ = false;
  bool is_flushing_ = false;
  bool flush_again_ = false;

  std::weak_ptr<SessionOwner> owner_;
  OpenCompletion open_done_;
  std::vector<Completion<absl::Status>> close_done_;
  absl::flat_hash_map<client::OperationId, PendingAcquire> acquires_;
  absl::flat_hash_map<client::OperationId, Completion<ReleaseStatus>> releases_;
  absl::flat_hash_map<client::OperationId, std::weak_ptr<HoldState>> holds_;
};

// What handles hold. Threading: any.
class SessionOwner {
 public:
  explicit SessionOwner(std::shared_ptr<SessionCore> core)
      : anchor_(core->anchor()), core_(std::move(core)) {}
  ~SessionOwner();
  SessionOwner(const SessionOwner&) = delete;
  SessionOwner& operator=(const SessionOwner&) = delete;

  [[nodiscard]] const std::shared_ptr<SessionCore>& core() const { return core_; }

 private:
  const std::shared_ptr<void> anchor_;  // goes last
  const std::shared_ptr<SessionCore> core_;
};

}  // namespace lockd::internal

#endif  // LOCKD_CLIENT_SESSION_CORE_H_
