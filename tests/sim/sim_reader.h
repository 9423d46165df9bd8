// SimReader: asks nodes who holds a lock, on a connection of its own for each question.
//
// Two of three reads are linearizable ones, so an answer must fit between its request and its
// arrival: it becomes an observation in the lock's history. Most go to followers and are refused,
// which is an answer too. The others are stale reads: any node answers, with a state that the
// committed log must have had at the index that it names.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_SIM_SIM_READER_H_
#define LOCKD_TESTS_SIM_SIM_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "protocol/base/ids.h"
#include "protocol/base/random.h"
#include "protocol/frame_decoder.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/sim_network.h"

namespace lockd::sim {

class SimReader : public Host {
 public:
  struct Options {
    HostId host;
    uint64_t seed = 0;
    uint64_t nodes = 0;  // hosts 1..nodes
    uint64_t locks = 0;
    // How often the cluster was restored. Who answers is of the era in which it was asked.
    std::function<size_t()> era;
    // A read was sent at `asked_at` and is answered now; zero: nobody holds the lock.
    std::function<void(const std::string& lock, Time asked_at, size_t era, FencingToken owner)>
        on_answer;
    // A stale read shows this owner after that entry.
    std::function<void(const std::string& lock, size_t era, uint64_t applied_index,
                       FencingToken owner)>
        on_stale_answer;
  };

  SimReader(Scheduler* scheduler, SimNetwork* network, Options options);

  void Start();
  void Stop() { is_on_ = false; }

  void OnDialed(LinkId link) override;
  void OnDialFailed(LinkId link, bool refused) override;
  void OnAccepted(LinkId link, bool is_peer_port) override;
  void OnBytes(LinkId link, std::string bytes) override;
  void OnLinkClosed(LinkId link) override;

 private:
  struct Read {
    std::string lock;
    bool is_stale = false;
    Time asked_at = 0;
    size_t era = 0;
    FrameDecoder decoder{kClientFrameBytesMax};
  };

  void ReadSoon();
  void Ask();
  // False: the connection is of no more use.
  [[nodiscard]] bool OnFrame(Read& read, const FrameView& frame);

  Scheduler* const scheduler_;
  SimNetwork* const network_;
  const Options options_;
  Random random_;
  bool is_on_ = false;
  std::map<LinkId, Read> reads_;
};

}  // namespace lockd::sim

#endif  // LOCKD_TESTS_SIM_SIM_READER_H_
