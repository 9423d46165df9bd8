#include "tests/server/node/snapshot_cluster.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace lockd::node {

SnapshotCluster::SnapshotCluster(int count, const NodeEnv::Tweak& tweak)
    : env_(count, [tweak](NodeOptions& options) {
        options.snapshot_log_bytes = kLogBytes;
        if (tweak) tweak(options);
      }) {
  for (int id = 1; id <= count; ++id) env_.UseDisk(id, &disks_[id]);
}

std::string LongName(const std::string& prefix, int number) {
  return absl::StrCat(prefix, "-", number, "-", std::string(900, 'x'));
}

void Fill(NodeEnv& env, TestClient& client, TestClient::Session& session, const std::string& prefix,
          int count) {
  constexpr int kAtOnce = 8;
  for (int first = 0; first < count; first += kAtOnce) {
    std::vector<uint32_t> requests;
    for (int i = first; i < count && i < first + kAtOnce; ++i) {
      requests.push_back(
          client.Send(Opcode::kAcquire, TestClient::AcquireOf(session, LongName(prefix, i), 0)));
    }
    for (const uint32_t request : requests) {
      std::optional<Received> reply;
      ASSERT_TRUE(env.RunUntil(
          [&] {
            reply = client.ReplyTo(request);
            return reply.has_value();
          },
          2'000));
      ASSERT_FALSE(reply->is_error()) << reply->As<pb::Error>().ShortDebugString();
      ASSERT_EQ(reply->As<pb::AcquireReply>().result(), pb::ACQUIRE_RESULT_GRANTED);
    }
  }
}

}  // namespace lockd::node
