// Load: the closed loop. Each logical client acquires, releases, and begins again.
//
//   Open ─► Start ─► Measure ... StopMeasuring ─► Stop
//
// A client whose call failed rests until the next look at all resting ones, so that an outage is
// not answered by spinning; a session that was lost is opened anew.
//
// Threading: loop only. Outlives the run of the io_context.
#ifndef LOCKD_TOOLS_LOCKBENCH_LOAD_H_
#define LOCKD_TOOLS_LOCKBENCH_LOAD_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "client/client.h"
#include "client/session.h"
#include "protocol/base/random.h"
#include "tools/lockbench/command_line.h"
#include "tools/lockbench/latency_recorder.h"

namespace lockd::lockbench {

// What is measured of the cycles that end in one part of the measurement.
struct Latencies {
  LatencyRecorder acquire;
  LatencyRecorder release;
};

class Load {
 public:
  // `prefix` begins the names of all locks: short, and of this run only.
  Load(boost::asio::io_context& context, Client& client, const Arguments& arguments,
       std::string prefix, uint64_t seed);

  // Opens all sessions. `done` gets the first error.
  void Open(absl::AnyInvocable<void(absl::Status)> done);
  void Start();
  // From here on, latencies and errors count.
  void Measure();
  void StopMeasuring() { is_measuring_ = false; }
  // While a snapshot is taken, what is measured is kept apart.
  void set_is_in_snapshot(bool is_in_snapshot) { is_in_snapshot_ = is_in_snapshot; }
  // Begins nothing more and closes the sessions, which ends what is under way.
  void Stop(absl::AnyInvocable<void()> done);

  [[nodiscard]] uint64_t cycles() const { return cycles_; }  // since Start, measured or not
  [[nodiscard]] uint64_t errors() const { return errors_; }
  [[nodiscard]] const Latencies& usual() const { return usual_; }
  [[nodiscard]] const Latencies& in_snapshot() const { return snapshot_; }

 private:
  using Clock = std::chrono::steady_clock;

  struct Connection {
    Session session;
    bool is_opening = false;
    std::vector<uint32_t> resting;  // slots
  };
  struct Slot {
    uint32_t connection = 0;
    bool is_measured = false;  // the step under way began within the measurement
    Clock::time_point step_began;
  };
  // As small as can be, so that each call's handler costs no more than the client's own part.
  struct OnAcquired {
    Load* load;
    uint32_t slot;
    void operator()(AcquireResult result) const { load->Acquired(slot, std::move(result)); }
  };
  struct OnReleased {
    Load* load;
    uint32_t slot;
    void operator()(ReleaseStatus status) const { load->Released(slot, status); }
  };

  void OpenNext();
  void BeginCycle(uint32_t slot, Clock::time_point now);
  void Acquired(uint32_t slot, AcquireResult result);
  void Released(uint32_t slot, ReleaseStatus status);
  void Rest(uint32_t slot);
  void WakeUpLater();
  void WakeUp(Connection& connection);
  std::string DrawName(uint32_t slot);
  Latencies& part() { return is_in_snapshot_ ? snapshot_ : usual_; }

  Client& client_;
  const bool is_contended_;
  const uint64_t keys_;
  const std::string prefix_;
  Random random_;
  boost::asio::steady_timer rest_timer_;
  bool is_rest_timer_set_ = false;

  std::vector<Connection> connections_;
  std::vector<Slot> slots_;
  absl::AnyInvocable<void(absl::Status)> opened_;
  size_t next_to_open_ = 0;
  size_t opening_ = 0;
  absl::AnyInvocable<void()> stopped_;
  size_t closing_ = 0;
  bool is_running_ = false;
  bool is_measuring_ = false;
  bool is_in_snapshot_ = false;

  uint64_t cycles_ = 0;
  uint64_t errors_ = 0;
  Latencies usual_;
  Latencies snapshot_;
};

}  // namespace lockd::lockbench

#endif  // LOCKD_TOOLS_LOCKBENCH_LOAD_H_
