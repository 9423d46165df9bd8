// Snapshots for whoever asks at the client port: how new they are, what is read of them, and what
// comes of those that fail, go, or are asked for by too many.
#include "server/node/snapshot_backup.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "protocol/base/crc32c.h"
#include "server/state/digest_text.h"
#include "server/state/snapshot_loader.h"
#include "tests/server/node/snapshot_cluster.h"

namespace lockd::node {
namespace {

using storage::SnapshotJob;
using storage::SnapshotRead;
using storage::SnapshotWrite;

void NoneOfTheirOwn(NodeOptions& options) {
  options.snapshot_log_bytes = 0;
}

pb::TakeSnapshotRequest TakeFrom(uint64_t index) {
  pb::TakeSnapshotRequest request;
  request.set_index(index);
  return request;
}
pb::TakeSnapshotReply TakeAt(TestClient& client) {
  return client.Call<pb::TakeSnapshotReply>(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
}
pb::Error RefusedTake(TestClient& client) {
  return client.CallError(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
}
pb::ReadSnapshotRequest ReadOf(const pb::TakeSnapshotReply& taken, uint64_t offset) {
  pb::ReadSnapshotRequest request;
  request.set_index(taken.snapshot().index());
  request.set_term(taken.snapshot().term());
  request.set_checksum(taken.snapshot().checksum());
  request.set_offset(offset);
  return request;
}
pb::ReadSnapshotReply ReadAt(TestClient& client, const pb::TakeSnapshotReply& taken,
                             uint64_t offset) {
  return client.Call<pb::ReadSnapshotReply>(Opcode::kReadSnapshot, ReadOf(taken, offset));
}
std::string ReadAll(TestClient& client, const pb::TakeSnapshotReply& taken) {
  std::string content;
  for (;;) {
    const pb::ReadSnapshotReply piece = ReadAt(client, taken, content.size());
    EXPECT_EQ(piece.result(), pb::READ_SNAPSHOT_RESULT_READ);
    EXPECT_LE(piece.content().size(), SnapshotBackup::kPieceBytes);
    if (piece.content().empty()) return content;
    content += piece.content();
  }
}
// It is what it was said to be.
void ExpectDescribed(const std::string& content, const pb::TakeSnapshotReply& taken) {
  EXPECT_EQ(content.size(), taken.snapshot().bytes());
  EXPECT_EQ(Crc32c(content), taken.snapshot().checksum());
  state::SnapshotLoader loader;
  ASSERT_TRUE(loader.Add(content).ok());
  const auto loaded = loader.Finish();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(state::ToText((*loaded)->digest()), taken.snapshot().digest());
  EXPECT_EQ((*loaded)->lock_count(), taken.snapshot().locks());
  EXPECT_EQ((*loaded)->session_count(), taken.snapshot().sessions());
  EXPECT_EQ((*loaded)->time().value(), taken.snapshot().cluster_time_ms());
}

class Backup : public testing::Test {
 protected:
  // `held` locks of about a KiB each.
  void Begin(int nodes, int held, const NodeEnv::Tweak& tweak = NoneOfTheirOwn) {
    cluster_.emplace(nodes, tweak);
    env().StartAll();
    leader_ = env().AwaitLeader();
    client_.emplace(env(), leader_);
    session_ = client_->Open(600'000);
    Fill(env(), *client_, session_, "held", held);
    env().RunFor(200);
  }
  NodeEnv& env() { return cluster_->env(); }
  void Change() { client_->Acquire(session_, "changed " + std::to_string(++changes_)); }
  uint64_t Applied(int id) { return env().node(id).raft().applied_index().value(); }
  // The reply, once it is there.
  Received Await(TestClient& client, uint32_t request) {
    std::optional<Received> reply;
    EXPECT_TRUE(env().RunUntil([&] {
      reply = client.ReplyTo(request);
      return reply.has_value();
    }));
    return reply.value_or(Received());
  }

  std::optional<SnapshotCluster> cluster_;
  int leader_ = 0;
  std::optional<TestClient> client_;
  TestClient::Session session_;
  int changes_ = 0;
};

TEST_F(Backup, AnyNodeGivesAllItHasApplied) {
  Begin(3, 200);
  for (int id = 1; id <= 3; ++id) {
    SCOPED_TRACE(id);
    Change();
    TestClient client(env(), id);
    const uint64_t applied = Applied(id);
    const pb::TakeSnapshotReply taken = TakeAt(client);
    EXPECT_GE(taken.snapshot().index(), applied);
    EXPECT_LE(taken.snapshot().index(), Applied(id));
    EXPECT_EQ(taken.node_id(), static_cast<uint64_t>(id));
    EXPECT_EQ(taken.cluster_id(), env().node(id).database().cluster_id().value());
    EXPECT_EQ(taken.cluster_name(), env().options(id).cluster_name);
    EXPECT_GE(taken.snapshot().locks(), 200u);
    ExpectDescribed(ReadAll(client, taken), taken);
  }
}

// What the leader has answered already, a follower may not have applied yet.
TEST_F(Backup, AFollowerWaitsForTheEntryThatItIsAskedFor) {
  Begin(3, 20);
  const int follower = leader_ % 3 + 1;
  env().Isolate(follower);
  Change();
  const uint64_t asked = Applied(leader_);
  ASSERT_LT(Applied(follower), asked);
  TestClient client(env(), follower);
  const uint32_t at_once = client.Send(Opcode::kTakeSnapshot, TakeFrom(0));
  TestClient other(env(), follower);
  const uint32_t request = other.Send(Opcode::kTakeSnapshot, TakeFrom(asked));
  EXPECT_LT(Await(client, at_once).As<pb::TakeSnapshotReply>().snapshot().index(), asked);
  env().RunFor(1'000);
  EXPECT_FALSE(other.ReplyTo(request).has_value());
  env().Rejoin(follower);
  const auto taken = Await(other, request).As<pb::TakeSnapshotReply>();
  EXPECT_GE(taken.snapshot().index(), asked);
  EXPECT_EQ(taken.snapshot().locks(), 21u);
  ExpectDescribed(ReadAll(other, taken), taken);
}

TEST_F(Backup, AFollowerDoesNotWaitForLongForTheEntryThatItIsAskedFor) {
  Begin(3, 20);
  const int follower = leader_ % 3 + 1;
  env().Isolate(follower);
  const uint64_t applied = Applied(follower);
  TestClient client(env(), follower);
  const uint32_t request = client.Send(Opcode::kTakeSnapshot, TakeFrom(applied + 1));
  env().RunFor(SnapshotBackup::kBehindMaxMs - 100);
  EXPECT_FALSE(client.ReplyTo(request).has_value());
  env().RunFor(200);
  const std::optional<Received> reply = client.ReplyTo(request);
  ASSERT_TRUE(reply && reply->is_error());
  const auto error = reply->As<pb::Error>();
  EXPECT_EQ(error.code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_NE(error.message().find("has applied entry " + std::to_string(applied)), std::string::npos)
      << error.message();
  EXPECT_EQ(env().node(follower).snapshots_taken(), 0u);
}

// What is read is the state at the snapshot's entry, whatever is applied meanwhile.
TEST_F(Backup, IsAsItWasWhenItBegan) {
  Begin(1, 200);
  env().AllowSnapshotJobs(1, 1);
  TestClient other(env(), 1);
  const uint64_t applied = Applied(1);
  const uint32_t request = other.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().RunFor(10);
  for (int i = 0; i < 200; i += 9) {
    const std::string name = LongName("held", i);
    client_->Release(session_, name, client_->Get(name).token());
  }
  env().ReleaseSnapshotJobs(1);
  const auto taken = Await(other, request).As<pb::TakeSnapshotReply>();
  EXPECT_EQ(taken.snapshot().index(), applied);
  EXPECT_EQ(taken.snapshot().locks(), 200u);
  ExpectDescribed(ReadAll(other, taken), taken);
}

TEST_F(Backup, OfOneEntryThereIsOne) {
  Begin(1, 20);
  TestClient a(env(), 1);
  TestClient b(env(), 1);
  const uint32_t request_a = a.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  const uint32_t request_b = b.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().Settle();
  const Received reply_a = Await(a, request_a);
  EXPECT_EQ(reply_a.As<pb::TakeSnapshotReply>().snapshot().SerializeAsString(),
            Await(b, request_b).As<pb::TakeSnapshotReply>().snapshot().SerializeAsString());
  EXPECT_EQ(env().node(1).snapshots_taken(), 1u);
  TakeAt(a);
  EXPECT_EQ(env().node(1).snapshots_taken(), 1u) << "nothing was applied since";
  Change();
  EXPECT_GT(TakeAt(a).snapshot().index(), reply_a.As<pb::TakeSnapshotReply>().snapshot().index());
  EXPECT_EQ(env().node(1).snapshots_taken(), 2u);
}

TEST_F(Backup, WhoeverAsksWhileAnOlderOneIsUnderWayGetsTheNext) {
  Begin(1, 200);
  env().AllowSnapshotJobs(1, 1);
  TestClient early(env(), 1);
  const uint32_t first = early.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().RunFor(10);
  const uint64_t before = Applied(1);
  Change();
  TestClient late(env(), 1);
  const uint64_t applied = Applied(1);
  ASSERT_GT(applied, before);
  const uint32_t second = late.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().RunFor(10);
  env().ReleaseSnapshotJobs(1);
  EXPECT_LE(Await(early, first).As<pb::TakeSnapshotReply>().snapshot().index(), before);
  EXPECT_GE(Await(late, second).As<pb::TakeSnapshotReply>().snapshot().index(), applied);
  EXPECT_EQ(env().node(1).snapshots_taken(), 2u);
}

TEST_F(Backup, AFailureIsSaidAndSoIsTheRestAfterIt) {
  Begin(1, 100);
  int begun = 0;
  env().on_snapshot_job = [&](int, const SnapshotJob& job) {
    const auto* write = std::get_if<SnapshotWrite>(&job);
    if (write == nullptr) return absl::OkStatus();
    begun += write->offset == 0;
    return absl::ResourceExhaustedError("no space left");
  };
  TestClient client(env(), 1);
  const pb::Error failed = RefusedTake(client);
  EXPECT_EQ(failed.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_NE(failed.message().find("no space left"), std::string::npos) << failed.message();
  EXPECT_GT(failed.retry_after_ms(), SnapshotTaker::kRestMs / 2);
  env().RunFor(SnapshotTaker::kRestMs / 2);
  const pb::Error rests = RefusedTake(client);
  EXPECT_EQ(rests.code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  EXPECT_LE(rests.retry_after_ms(), SnapshotTaker::kRestMs / 2 + 1);
  EXPECT_EQ(begun, 1) << "a full disk is not emptied by trying";
  env().on_snapshot_job = {};
  env().RunFor(rests.retry_after_ms());
  const pb::TakeSnapshotReply taken = TakeAt(client);
  ExpectDescribed(ReadAll(client, taken), taken);
}

TEST_F(Backup, ANodeWithoutAStateSaysSo) {
  NodeEnv forming(3);
  forming.Start(1);
  forming.RunFor(100);
  TestClient early(forming, 1);
  EXPECT_EQ(RefusedTake(early).code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_EQ(early.CallError(Opcode::kReadSnapshot, pb::ReadSnapshotRequest()).code(),
            pb::ERROR_CODE_UNAVAILABLE);

  Begin(1, 200);
  TakeAt(*client_);
  env().Crash(1);
  env().AllowSnapshotJobs(1, 1);
  env().Start(1);
  TestClient client(env(), 1);
  const pb::Error loading = RefusedTake(client);
  EXPECT_EQ(loading.code(), pb::ERROR_CODE_UNAVAILABLE);
  EXPECT_NE(loading.message().find("loading"), std::string::npos);
  env().ReleaseSnapshotJobs(1);
  env().AwaitLeader();
  EXPECT_EQ(TakeAt(client).snapshot().locks(), 200u);
}

TEST_F(Backup, IsThereAfterARestart) {
  Begin(1, 200);
  const pb::TakeSnapshotReply taken = TakeAt(*client_);
  const std::string content = ReadAll(*client_, taken);
  env().Crash(1);
  cluster_->disk(1).Crash(MemFileSystem::Unsynced::kLost, nullptr);
  env().Start(1);
  env().AwaitLeader();
  TestClient client(env(), 1);
  EXPECT_EQ(ReadAll(client, taken), content);
}

TEST_F(Backup, AnOlderOneIsGoneWhenTwoNewerOnesAreThere) {
  Begin(1, 200);
  TestClient client(env(), 1);
  const pb::TakeSnapshotReply taken = TakeAt(client);
  const std::string begin = ReadAt(client, taken, 0).content();
  Change();
  TakeAt(client);
  EXPECT_EQ(ReadAt(client, taken, begin.size()).result(), pb::READ_SNAPSHOT_RESULT_READ);
  Change();
  TakeAt(client);
  EXPECT_EQ(ReadAt(client, taken, begin.size()).result(), pb::READ_SNAPSHOT_RESULT_NO_SUCH);
}

// Between the request and its turn on the file thread.
TEST_F(Backup, OneThatGoesWhileItIsReadIsGone) {
  Begin(1, 100);
  TestClient client(env(), 1);
  const pb::TakeSnapshotReply taken = TakeAt(client);
  env().on_snapshot_job = [](int, const SnapshotJob& job) {
    return std::holds_alternative<SnapshotRead>(job) ? absl::NotFoundError("gone")
                                                     : absl::OkStatus();
  };
  EXPECT_EQ(ReadAt(client, taken, 0).result(), pb::READ_SNAPSHOT_RESULT_NO_SUCH);
  EXPECT_FALSE(env().Noted(1, "cannot be read"));
}

TEST_F(Backup, OneThatTheDiskDoesNotGiveBackIsNotOfferedAgain) {
  Begin(1, 100);
  TestClient client(env(), 1);
  const pb::TakeSnapshotReply taken = TakeAt(client);
  env().on_snapshot_job = [](int, const SnapshotJob& job) {
    return std::holds_alternative<SnapshotRead>(job) ? absl::DataLossError("block 0 is damaged")
                                                     : absl::OkStatus();
  };
  EXPECT_EQ(ReadAt(client, taken, 0).result(), pb::READ_SNAPSHOT_RESULT_UNREADABLE);
  EXPECT_TRUE(env().Noted(1, "block 0 is damaged"));
  EXPECT_EQ(ReadAt(client, taken, 0).result(), pb::READ_SNAPSHOT_RESULT_NO_SUCH);
  env().on_snapshot_job = {};
  Change();
  const pb::TakeSnapshotReply next = TakeAt(client);
  ExpectDescribed(ReadAll(client, next), next);
}

TEST_F(Backup, AReadNamesASnapshotAndAPlaceInIt) {
  Begin(1, 10);
  TestClient client(env(), 1);
  const pb::TakeSnapshotReply taken = TakeAt(client);
  for (int field = 0; field < 3; ++field) {
    pb::ReadSnapshotRequest other = ReadOf(taken, 0);
    if (field == 0) other.set_index(other.index() + 1);
    if (field == 1) other.set_term(other.term() + 1);
    if (field == 2) other.set_checksum(other.checksum() ^ 1);
    EXPECT_EQ(client.Call<pb::ReadSnapshotReply>(Opcode::kReadSnapshot, other).result(),
              pb::READ_SNAPSHOT_RESULT_NO_SUCH);
  }
  const uint64_t bytes = taken.snapshot().bytes();
  EXPECT_EQ(ReadAt(client, taken, bytes).result(), pb::READ_SNAPSHOT_RESULT_READ);
  EXPECT_EQ(ReadAt(client, taken, bytes - 1).content().size(), 1u);
  EXPECT_EQ(client.CallError(Opcode::kReadSnapshot, ReadOf(taken, bytes + 1)).code(),
            pb::ERROR_CODE_INVALID_ARGUMENT);
}

TEST_F(Backup, ReadsAreOneOfAConnectionAndFewInAll) {
  Begin(1, 200);
  const pb::TakeSnapshotReply taken = TakeAt(*client_);
  size_t jobs = 0;
  env().on_actions = [&](int, const NodeActions& actions) { jobs += actions.snapshot_jobs.size(); };
  env().AllowSnapshotJobs(1, 0);
  std::vector<TestClient> readers;
  std::vector<uint32_t> requests;
  for (size_t i = 0; i < SnapshotBackup::kReadsMax; ++i) {
    readers.emplace_back(env(), 1);
    requests.push_back(readers.back().Send(Opcode::kReadSnapshot, ReadOf(taken, 0)));
  }
  env().RunFor(500);
  EXPECT_EQ(jobs, SnapshotBackup::kJobsMax) << "the file thread is not buried under them";
  TestClient one_more(env(), 1);
  EXPECT_EQ(one_more.CallError(Opcode::kReadSnapshot, ReadOf(taken, 0)).code(),
            pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  // Whoever leaves makes room, also while it waits for its turn.
  readers.back().Disconnect();
  env().RunFor(100);
  const uint32_t last = one_more.Send(Opcode::kReadSnapshot, ReadOf(taken, 0));
  env().RunFor(100);
  EXPECT_FALSE(one_more.ReplyTo(last).has_value());
  EXPECT_EQ(one_more.CallError(Opcode::kReadSnapshot, ReadOf(taken, 0)).code(),
            pb::ERROR_CODE_RESOURCE_EXHAUSTED)
      << "it has one";
  // One under way whose connection is gone is read for nobody.
  readers.front().Disconnect();
  env().ReleaseSnapshotJobs(1);
  for (size_t i = 1; i + 1 < readers.size(); ++i) {
    EXPECT_EQ(Await(readers[i], requests[i]).As<pb::ReadSnapshotReply>().result(),
              pb::READ_SNAPSHOT_RESULT_READ);
  }
  EXPECT_EQ(Await(one_more, last).As<pb::ReadSnapshotReply>().result(),
            pb::READ_SNAPSHOT_RESULT_READ);
}

TEST_F(Backup, ReadsKeepTheirPace) {
  constexpr uint64_t kBytesPerS = 256 * 1024;
  Begin(1, 300, [](NodeOptions& options) {
    options.snapshot_log_bytes = 0;
    options.snapshot_bytes_per_s = kBytesPerS;
  });
  TestClient client(env(), 1);
  const uint32_t request = client.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  const auto taken = Await(client, request).As<pb::TakeSnapshotReply>();
  const LocalTime begin = env().now();
  const std::string content = ReadAll(client, taken);
  const int64_t ms = (env().now() - begin) / kNanosPerMilli;
  const auto expected_ms = static_cast<int64_t>(content.size() * 1'000 / kBytesPerS);
  EXPECT_GT(content.size(), 250'000u);
  EXPECT_GE(ms, expected_ms - 250) << "the first piece goes at once";
  EXPECT_LE(ms, expected_ms + 250);
}

TEST_F(Backup, NoMoreThanSomeWaitAndThoseThatLeaveAreForgotten) {
  Begin(1, 200);
  env().AllowSnapshotJobs(1, 0);
  TestClient many(env(), 1);
  for (size_t i = 0; i < SnapshotBackup::kTakesMax; ++i) {
    many.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  }
  TestClient one_more(env(), 1);
  EXPECT_EQ(RefusedTake(one_more).code(), pb::ERROR_CODE_RESOURCE_EXHAUSTED);
  many.Disconnect();
  env().RunFor(100);
  const uint32_t request = one_more.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().RunFor(100);
  env().ReleaseSnapshotJobs(1);
  EXPECT_FALSE(Await(one_more, request).is_error());
}

// A follower that is being given a snapshot has applied less; what it is asked for comes all the
// same, of what it then has.
TEST_F(Backup, AFollowerThatReceivesOneGivesANewerOne) {
  Begin(3, 20, [](NodeOptions&) {});
  const int follower = leader_ % 3 + 1;
  env().Isolate(follower);
  while (env().node(leader_).raft().first_index() <= env().node(follower).raft().last_index() + 1) {
    Fill(env(), *client_, session_, "more " + std::to_string(++changes_), 40);
    env().RunFor(100);
  }
  env().RunFor(1'000);
  env().AllowSnapshotJobs(follower, 2);
  env().Rejoin(follower);
  env().RunFor(2'000);
  TestClient client(env(), follower);
  const uint64_t applied = Applied(follower);
  const uint32_t request = client.Send(Opcode::kTakeSnapshot, pb::TakeSnapshotRequest());
  env().RunFor(500);
  EXPECT_FALSE(client.ReplyTo(request).has_value());
  env().ReleaseSnapshotJobs(follower);
  const auto taken = Await(client, request).As<pb::TakeSnapshotReply>();
  EXPECT_GE(taken.snapshot().index(), applied);
  EXPECT_EQ(env().node(follower).snapshots_received(), 1u);
  ExpectDescribed(ReadAll(client, taken), taken);
}

}  // namespace
}  // namespace lockd::node
