// Floods and slow ones: bytes now and then, connections that fall silent, more connections than
// there are descriptors, strangers on the peer port. N-numbers name kinds of attack.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "protocol/base/bytes.h"
#include "protocol/raft.pb.h"
#include "tests/e2e/hostile.h"

namespace lockd::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A socket as the kernel lists it.
struct Socket {
  std::string local;  // hexadecimal, address:port
  std::string remote;
  bool is_listening = false;
  bool has_keepalive_timer = false;
  uint64_t inode = 0;
};

std::vector<Socket> Sockets(const std::string& table) {
  std::ifstream file("/proc/net/" + table);
  std::string line;
  std::getline(file, line);  // the heading
  std::vector<Socket> sockets;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string number, state, queues, timer, retransmissions, uid, timeout;
    Socket socket;
    words >> number >> socket.local >> socket.remote >> state >> queues >> timer >>
        retransmissions >> uid >> timeout >> socket.inode;
    socket.is_listening = state == "0A";
    socket.has_keepalive_timer = timer.substr(0, 2) == "02";
    sockets.push_back(socket);
  }
  return sockets;
}

std::string Loopback(uint16_t port) {
  return absl::StrFormat("0100007F:%04X", port);
}

class HostileSlow : public Hostile {
 protected:
  HostileSlow() : Hostile({"--hello-timeout", "400ms"}) {}
};
class HostileSlowFrame : public Hostile {
 protected:
  HostileSlowFrame() : Hostile({"--hello-timeout", "10m", "--frame-timeout", "400ms"}) {}
};

// N-05: a byte now and then does not buy time. (The frame would need seconds.)
TEST_F(HostileSlow, ByteAfterByteIsClosedByTheHelloTimeout) {
  std::string hello;
  AppendFrame(hello, {.opcode = Opcode::kHello}, MakeHello());
  RawConnection slow(port());
  size_t sent = 0;
  bool closed = false;
  while (!closed && sent < hello.size()) {
    slow.Send(absl::string_view(hello).substr(sent++, 1));
    closed = slow.IsClosedByServer(milliseconds(100));
  }
  EXPECT_TRUE(closed);
  EXPECT_EQ(slow.reason(), pb::ERROR_CODE_TIMEOUT);
}

// N-05: after the hello, half a frame has its time too. A connection between two frames has all the
// time in the world.
TEST_F(HostileSlowFrame, HalfAFrameIsClosedByTheFrameTimeoutAndAnIdleConnectionIsNot) {
  auto idle = Greet();
  auto half = Greet();
  pb::GetLockRequest get;
  get.set_name("lock");
  std::string bytes;
  AppendFrame(bytes, {.opcode = Opcode::kGetLock, .request_id = 1}, get);
  ASSERT_TRUE(half->Send(bytes + bytes.substr(0, bytes.size() - 1)));
  EXPECT_TRUE(half->ReadMessage<pb::GetLockReply>(Opcode::kGetLock));
  EXPECT_TRUE(half->IsClosedByServer());
  EXPECT_EQ(half->reason(), pb::ERROR_CODE_TIMEOUT);
  ASSERT_TRUE(idle->Send(bytes));
  EXPECT_TRUE(idle->ReadMessage<pb::GetLockReply>(Opcode::kGetLock)) << "it was closed";
}

// N-05, on the peer port.
TEST_F(HostileSlow, SilenceAndHalfAHelloAreClosedOnThePeerPortToo) {
  RawConnection silent(cluster_.peer_port(0));
  RawConnection half(cluster_.peer_port(0));
  half.Send("\x40");
  EXPECT_TRUE(silent.IsClosedByServer());
  EXPECT_EQ(silent.reason(), pb::ERROR_CODE_TIMEOUT);
  EXPECT_TRUE(half.IsClosedByServer());
}

// N-06: the other side of a connection has vanished without a word. The kernel asks whether it is
// there: the server's socket has its timer set.
TEST_F(HostileSlowFrame, TheKernelProbesConnectionsOnWhichNothingMoves) {
  auto idle = Greet();
  const auto is_probed = [&] {
    for (const Socket& socket : Sockets("tcp")) {
      if (socket.local == Loopback(port()) && socket.remote == Loopback(idle->local_port())) {
        return socket.has_keepalive_timer;
      }
    }
    return false;
  };
  EXPECT_TRUE(Eventually(is_probed));
}

// N-18: two ports, on loopback unless told otherwise, and nothing else: no port for metrics or
// profiles that somebody forgot.
TEST_F(HostileSlow, ListensOnItsTwoPortsOfLoopbackAndNowhereElse) {
  std::set<uint64_t> inodes;
  const std::filesystem::path descriptors =
      absl::StrCat("/proc/", cluster_.process(0).pid(), "/fd");
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    unsigned long inode = 0;
    if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1) inodes.insert(inode);
  }
  std::multiset<std::string> listening;
  for (const char* table : {"tcp", "tcp6"}) {
    for (const Socket& socket : Sockets(table)) {
      if (socket.is_listening && inodes.contains(socket.inode)) listening.insert(socket.local);
    }
  }
  EXPECT_EQ(listening,
            (std::multiset<std::string>{Loopback(port()), Loopback(cluster_.peer_port(0))}));
}

// N-07: far more connections than the process may have descriptors. Those that came in before go
// on, the log opens its next files, and when the flood is over newcomers are served.
TEST(HostileFlood, MoreConnectionsThanDescriptorsDoNotStopTheLog) {
  Cluster cluster(1, {"--segment-bytes", "64KiB", "--hello-timeout", "10m"});
  cluster.set_descriptors_max(160);
  cluster.StartAll();
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session =
      client.OpenSession({.ttl = 4 * kPatience, .operation_timeout = 2 * kPatience});
  ASSERT_TRUE(session.ok()) << session.status();
  std::vector<std::unique_ptr<RawConnection>> flood;
  for (int i = 0; i < 400; ++i) {
    flood.push_back(std::make_unique<RawConnection>(i % 2 == 0 ? cluster.client_port(0)
                                                               : cluster.peer_port(0)));
  }
  for (int i = 0; i < 100; ++i) {
    AcquireResult result = session->Acquire(absl::StrCat(i, std::string(1'000, '.')));
    ASSERT_TRUE(result.granted()) << result.ToStatus() << "\n" << cluster.ReadLog(0);
    ASSERT_EQ(session->Release(std::move(result.lock)), ReleaseStatus::kReleased);
  }
  flood.clear();
  EXPECT_TRUE(Eventually([&] {
    BlockingClient newcomer(cluster.client_options());
    return newcomer.OpenSession().ok();
  }));
  EXPECT_EQ(cluster.Stop(0), 0) << cluster.ReadLog(0);
}

// N-07: lockd says so when it could not work at all.
TEST(HostileFlood, TooFewDescriptorsAreRefusedAtTheStart) {
  Cluster cluster(1);
  cluster.set_descriptors_max(64);
  cluster.Start(0);
  EXPECT_EQ(cluster.process(0).Await(), 2);
  EXPECT_THAT(cluster.ReadLog(0), HasSubstr("ulimit -n"));
}

// N-07: silent strangers hold every place of the peer port. A member that comes back finds one all
// the same: without its answers nothing could be committed.
TEST(HostileFlood, StrangersOnThePeerPortDoNotKeepAMemberOut) {
  Cluster cluster(3, {"--hello-timeout", "10m"});
  cluster.StartAll();
  const size_t leader = cluster.WaitForLeader();
  const size_t follower = (leader + 1) % 3;
  const size_t other = (leader + 2) % 3;
  cluster.Kill(follower);
  std::vector<std::unique_ptr<RawConnection>> strangers;
  for (int i = 0; i < 200; ++i) {
    strangers.push_back(std::make_unique<RawConnection>(cluster.peer_port(leader)));
  }
  cluster.Kill(other);
  cluster.Start(follower);
  cluster.WaitForLeader();
  BlockingClient client(cluster.client_options());
  const auto session = client.OpenSession({.operation_timeout = kPatience});
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_TRUE(session->Acquire("lock", {.wait = kPatience}).granted());
}

// N-12: an impostor on the peer port knows what anybody can learn, and says what it likes. It gets
// no vote, deposes nobody, and ends nobody.
TEST(HostilePeer, AnImpostorReachesNoRaftAndEndsNobody) {
  Cluster cluster(3, SteadyElections());
  const size_t leader = cluster.StartAllAlike();
  BlockingClient client(cluster.client_options());
  const auto before = client.GetStatus(cluster.endpoint(leader));
  ASSERT_TRUE(before.ok()) << before.status();
  pb::PeerHello impostor;
  impostor.set_magic(kPeerMagic);
  impostor.set_version_min(1);
  impostor.set_version_max(1);
  impostor.set_cluster_id(before->cluster_id.value());
  impostor.set_cluster_name("lockd");
  impostor.set_node_id((leader + 1) % 3 + 1);
  impostor.set_incarnation(4'711);
  impostor.set_your_incarnation(4'712);
  impostor.set_has_log(true);
  impostor.set_term(1'000'000);
  pb::VoteRequest vote;
  vote.set_term(1'000'000);
  vote.set_campaign_term(1'000'000);
  vote.set_last_index(1'000'000);
  vote.set_last_term(1'000'000);
  for (size_t node = 0; node < 3; ++node) {
    RawConnection connection(cluster.peer_port(node));
    connection.SendFrame(Opcode::kHello, 0, impostor);
    connection.SendFrame(Opcode::kVote, 0, vote);
    EXPECT_TRUE(connection.IsClosedByServer()) << node;
  }
  for (int opcode = 0; opcode < 256; ++opcode) {
    if (static_cast<Opcode>(opcode) == Opcode::kHello) continue;
    RawConnection connection(cluster.peer_port(leader));
    connection.SendFrame(static_cast<Opcode>(opcode), 1, vote);
    EXPECT_TRUE(connection.IsClosedByServer()) << opcode;
  }
  EXPECT_EQ(cluster.WaitForLeader(), leader);
  const auto after = client.GetStatus(cluster.endpoint(leader));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->term, before->term);
  for (size_t node = 0; node < 3; ++node) EXPECT_TRUE(cluster.process(node).is_running()) << node;
}

}  // namespace
}  // namespace lockd::e2e
