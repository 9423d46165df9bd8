// Snapshots: what is written at leisure is the state of one moment, and what is loaded behaves like
// it.

#include "server/state/snapshot_writer.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "protocol/base/bytes.h"
#include "server/state/snapshot_loader.h"
#include "tests/server/state/snapshot_world.h"
#include "tests/support/golden.h"
#include "tests/support/snapshot_content.h"

namespace lockd::state {
namespace {

std::unique_ptr<LockDatabase> Load(absl::string_view content) {
  auto loaded = LoadSnapshot(content, HashKey::FromSeed(3));
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  if (!loaded.ok()) return nullptr;
  (*loaded)->CheckInvariants();
  return *std::move(loaded);
}

// ---- What survives

TEST(Snapshot, OfAnEmptyDatabaseIsLoaded) {
  LockDatabase db;
  const std::string content = WriteSnapshot(db);
  const auto loaded = Load(content);
  EXPECT_EQ(loaded->digest(), db.digest());
  EXPECT_EQ(WriteSnapshot(*loaded), content);
  EXPECT_EQ(loaded->NextDeadline(), kNeverCluster);
}

TEST(Snapshot, OfEverythingIsLoadedAndWrittenAgainByteForByte) {
  SnapshotWorld world;
  world.GiveRoles();
  LockDatabase& db = world.db();
  const std::string content = WriteSnapshot(db);
  const auto loaded = Load(content);
  EXPECT_EQ(loaded->digest(), db.digest());
  EXPECT_EQ(WriteSnapshot(*loaded), content) << "records lie in the order in which they are read";
  EXPECT_EQ(loaded->time(), db.time());
  EXPECT_EQ(loaded->last_number(), db.last_number());
  EXPECT_EQ(loaded->cluster_id(), db.cluster_id());
  EXPECT_EQ(loaded->feature_level(), db.feature_level());
  EXPECT_EQ(loaded->settings(), db.settings());
  EXPECT_EQ(loaded->members(), db.members());
  EXPECT_EQ(loaded->last_node_id(), db.last_node_id());
  EXPECT_EQ(loaded->session_count(), db.session_count());
  EXPECT_EQ(loaded->sessions().kept_count(), db.sessions().kept_count());
  EXPECT_EQ(loaded->sessions().outcome_count(), db.sessions().outcome_count());
  EXPECT_EQ(loaded->lock_count(), db.lock_count());
  EXPECT_EQ(loaded->waiter_count(), db.waiter_count());
  EXPECT_EQ(loaded->deadlines().size(), db.deadlines().size());
  EXPECT_EQ(loaded->NextDeadline(), db.NextDeadline());
  EXPECT_EQ(loaded->GetLock("alpha").granted_wall, db.GetLock("alpha").granted_wall);
  EXPECT_EQ(loaded->GetLock("alpha").expiration_wall, db.GetLock("alpha").expiration_wall);
  EXPECT_EQ(loaded->GetLock(SnapshotWorld::LongName()).token, world.anns_long.token);
}

TEST(Snapshot, HasARecordOfEachKind) {
  SnapshotWorld world;
  std::vector<int> of_kind(9);
  const std::vector<std::string> parts = CutIntoRecords(WriteSnapshot(world.db()));
  for (size_t i = 1; i < parts.size(); ++i) ++of_kind.at(static_cast<uint8_t>(parts[i][0]));
  for (size_t kind = 1; kind < of_kind.size(); ++kind) EXPECT_GT(of_kind[kind], 0) << kind;
}

// Gus has ended and nothing is left of him but what he remembers; that he has to be settled first
// is not to be seen in any other field.
TEST(Snapshot, KeepsWhetherAnEndedSessionIsSettled) {
  SnapshotWorld world;
  ASSERT_TRUE(world.db().HasBacklog());
  const auto loaded = Load(WriteSnapshot(world.db()));
  EXPECT_TRUE(loaded->HasBacklog());
  for (LockDatabase* db : {&world.db(), loaded.get()}) {
    db->Apply(ClusterTime(2'000), "");
    EXPECT_FALSE(db->HasBacklog());
  }
  EXPECT_EQ(loaded->NextDeadline(), world.db().NextDeadline());
  EXPECT_EQ(loaded->digest(), world.db().digest());
}

// The dead session of a nonce that another one has taken over comes first or last in the slab.
TEST(Snapshot, FindsTheNewestSessionOfANonce) {
  for (const bool is_dead_one_first : {true, false}) {
    Driver d;
    Settings settings;
    settings.session_ttl_ms_min = 1;
    settings.cleanup_holds_max = 1;
    d.ChangeSettings(settings);
    const auto open = [&](const char* nonce, int64_t ttl_ms) {
      return std::get<SessionResult>(d.Do(OpenSession{nonce, ttl_ms, 0, ""}).value).session;
    };
    // A forgotten one leaves slot 0 to whoever comes next.
    const SessionId gone = open("0123456789abcdeX", 10'000);
    if (is_dead_one_first) d.Do(CloseSession{gone, ConnectionEpoch(1)});
    open("0123456789abcdef", 2);
    open("0123456789abcdeY", 1);
    if (!is_dead_one_first) d.Do(CloseSession{gone, ConnectionEpoch(1)});
    d.At(100);  // both are due; clean-up comes to one
    const SessionId newest = open("0123456789abcdef", 20'000);
    ASSERT_TRUE(d.db().HasBacklog());
    const auto loaded = Load(WriteSnapshot(d.db()));
    EXPECT_EQ(loaded->sessions()[loaded->sessions().FindByNonce("0123456789abcdef")].id, newest);
    EXPECT_EQ(loaded->digest(), d.db().digest());
  }
}

TEST(Snapshot, OfVersionOneIsReadAndWritten) {
  SnapshotWorld world;
  const std::string content = WriteSnapshot(world.db());
  const std::string golden = testing::ReadGolden("snapshot-v1.hex", content);
  EXPECT_EQ(testing::ToGoldenDump(content), testing::ToGoldenDump(golden));
  const auto loaded = Load(golden);
  EXPECT_EQ(testing::ToGoldenDump(WriteSnapshot(*loaded)), testing::ToGoldenDump(golden));
  EXPECT_EQ(loaded->last_node_id(), NodeId(2)) << "not in this version: that of the last member";
}

TEST(Snapshot, OfVersionTwoIsReadAndWritten) {
  SnapshotWorld world;
  world.GiveRoles();
  const std::string content = WriteSnapshot(world.db());
  const std::string golden = testing::ReadGolden("snapshot-v2.hex", content);
  EXPECT_EQ(testing::ToGoldenDump(content), testing::ToGoldenDump(golden));
  const auto loaded = Load(golden);
  EXPECT_EQ(testing::ToGoldenDump(WriteSnapshot(*loaded)), testing::ToGoldenDump(golden));
}

uint16_t VersionOf(absl::string_view content) {
  return LoadLittle<uint16_t>(content.data() + kSnapshotMagic.size());
}

// An older build can read it for as long as there is nothing in it that it does not know.
TEST(Snapshot, IsOfTheOldestVersionThatCanSayIt) {
  struct Row {
    const char* what;
    ChangeMembers change;
    uint16_t version;
  };
  const Row rows[] = {
      {"as founded", ChangeTo({1, 2}, {}, {}), 1},
      {"more voters", ChangeTo({1, 2, 3}, {}, {}, {3}), 1},
      {"without the first", ChangeTo({2}, {}, {}), 1},
      {"without the last", ChangeTo({1}, {}, {}), 2},
      {"a learner", ChangeTo({1, 2}, {}, {3}, {3}), 2},
      {"a learner that was a voter", ChangeTo({2}, {}, {1}), 2},
      {"an incoming one", ChangeTo({1, 2, 3}, {1, 2}, {}, {3}), 2},
      {"an outgoing one", ChangeTo({2}, {1, 2}, {}), 2},
  };
  for (const Row& row : rows) {
    SnapshotWorld world;
    ASSERT_EQ(world.d.Do(row.change).refusal, Refusal::kNone) << row.what;
    const std::string content = WriteSnapshot(world.db());
    EXPECT_EQ(VersionOf(content), row.version) << row.what;
    const auto loaded = Load(content);
    EXPECT_EQ(loaded->members(), world.db().members()) << row.what;
    EXPECT_EQ(loaded->last_node_id(), world.db().last_node_id()) << row.what;
    EXPECT_EQ(loaded->digest(), world.db().digest()) << row.what;
  }
}

// ---- What happens meanwhile

struct Change {
  const char* name;
  std::function<void(SnapshotWorld&)> make;
};

const std::vector<Change>& Changes() {
  using W = SnapshotWorld;
  static const auto* const kChanges = new std::vector<Change>{
      {"time passes", [](W& w) { w.d.TickAt(2'100); }},
      {"settings", [](W& w) { w.d.ChangeSettings(Settings{}); }},
      {"a member",
       [](W& w) {
         w.d.Do(RegisterMember{{NodeId(2), "x:1", "", Incarnation(9)}});
       }},
      {"members come, go, and get other roles", [](W& w) { w.GiveRoles(); }},
      {"a session is renewed", [](W& w) { w.d.KeepAlive(w.ann); }},
      {"a session is renewed twice",
       [](W& w) {
         w.d.KeepAlive(w.hal);
         w.d.At(2'500);
         w.d.KeepAlive(w.hal);
       }},
      {"a session is attached", [](W& w) { w.d.Attach(w.fay); }},
      {"a session is disconnected", [](W& w) { w.d.Drop(w.cat); }},
      {"a session ends", [](W& w) { w.d.Close(w.eve); }},
      {"a session is settled", [](W& w) { w.d.Tick(); }},
      {"sessions are forgotten, and others open in their slots",
       [](W& w) {
         for (int i = 0; i < 20; ++i) w.d.TickAt(w.d.now().value() + 20'000);
         for (int i = 0; i < 8; ++i) {
           Client news = w.d.Open(100'000);
           w.d.Acquire(news, "alpha", kWaitForever);
         }
       }},
      {"a lock is acquired",
       [](W& w) {
         w.d.Lock(w.hal, "zeta");
         w.d.Queue(w.cat, "zeta");
       }},
      {"a lock is freed, and another one gets its slot",
       [](W& w) {
         w.d.Release(w.eve, "gamma", w.eves_gamma.token);
         w.d.Lock(w.ann, "zeta");
         w.d.Queue(w.hal, "zeta");
       }},
      {"a lock is handed on", [](W& w) { w.d.Release(w.ann, "alpha", w.anns_alpha.token); }},
      {"a lock is handed on until nobody waits, and another one gets its slot",
       [](W& w) {
         w.d.Close(w.ann);
         for (Client* client : {&w.ben, &w.cat, &w.eve}) {
           const LockView alpha = w.db().GetLock("alpha");
           w.d.Release(*client, "alpha", alpha.token);
         }
         w.d.Lock(w.hal, "zeta");
         w.d.Queue(w.cat, "zeta");
       }},
      {"somebody more waits", [](W& w) { w.d.Queue(w.hal, "alpha"); }},
      {"the first waiter leaves", [](W& w) { w.d.Cancel(w.ben, w.bens_alpha); }},
      {"a waiter in the middle leaves", [](W& w) { w.d.Cancel(w.cat, w.cats_alpha); }},
      {"the last waiter leaves, and another comes",
       [](W& w) {
         w.d.Cancel(w.eve, w.eves_alpha);
         w.d.Queue(w.hal, "alpha");
       }},
      {"all waiters leave and come back",
       [](W& w) {
         w.d.Cancel(w.cat, w.cats_alpha);
         w.d.Cancel(w.eve, w.eves_alpha);
         w.d.Cancel(w.ben, w.bens_alpha);
         for (Client* client : {&w.ben, &w.cat, &w.eve}) w.d.Queue(*client, "alpha");
       }},
      {"a maximum hold is reached",
       [](W& w) {
         for (int i = 0; i < 4; ++i) w.d.TickAt(70'000);
       }},
      {"replies are acknowledged, and new ones come",
       [](W& w) {
         w.ann.acknowledged_through = Sequence(4);
         w.d.Acquire(w.ann, "gamma");
         w.d.Acquire(w.ann, "gamma");
       }},
      {"outcomes are acknowledged",
       [](W& w) {
         w.d.KeepAlive(w.cat, {w.cats_wait_for_beta});
         w.d.KeepAlive(w.ben, {Sequence(4), Sequence(6), Sequence(5), Sequence(7)});
       }},
      {"the reply of a waiter is replaced by its outcome",
       [](W& w) {
         w.d.Cancel(w.eve, w.eves_alpha);
         w.eve.acknowledged_through = w.eves_alpha;
         w.d.Acquire(w.eve, "alpha");
       }},
  };
  return *kChanges;
}

// Each change at each moment of the writing, moments being a few bytes apart.
TEST(SnapshotMeanwhile, AChangeAtAnyMomentDoesNotShow) {
  SnapshotWorld untouched;
  const Digest digest = untouched.db().digest();
  const std::string content = WriteSnapshot(untouched.db());
  for (const Change& change : Changes()) {
    for (size_t moment = 0; moment < content.size(); moment += 47) {
      SnapshotWorld world;
      world.db().BeginSnapshot();
      std::string written;
      std::string piece;
      while (written.size() < moment) {
        ASSERT_FALSE(
            world.db().NextSnapshotPiece(std::min<size_t>(64, moment - written.size()), &piece));
        written += piece;
      }
      change.make(world);
      written += FinishSnapshot(world.db());
      ASSERT_TRUE(written == content) << change.name << ", after " << moment << " bytes";
      world.db().CheckInvariants();
    }
    SnapshotWorld changed;
    change.make(changed);
    EXPECT_NE(changed.db().digest(), digest) << change.name << " changes nothing";
  }
}

TEST(SnapshotMeanwhile, TheNextSnapshotHasWhatChangedDuringTheLast) {
  for (const Change& change : Changes()) {
    SnapshotWorld world;
    world.db().BeginSnapshot();
    std::string piece;
    ASSERT_FALSE(world.db().NextSnapshotPiece(1'000, &piece));
    change.make(world);
    FinishSnapshot(world.db());
    const std::string second = WriteSnapshot(world.db());
    SnapshotWorld changed;
    change.make(changed);
    EXPECT_TRUE(second == WriteSnapshot(changed.db())) << change.name;
    EXPECT_EQ(Load(second)->digest(), world.db().digest()) << change.name;
  }
}

TEST(SnapshotMeanwhile, ACancelledOneLeavesNoTrace) {
  SnapshotWorld world;
  world.db().BeginSnapshot();
  EXPECT_TRUE(world.db().is_in_snapshot());
  std::string piece;
  ASSERT_FALSE(world.db().NextSnapshotPiece(700, &piece));
  world.d.KeepAlive(world.hal);
  world.db().CancelSnapshot();
  EXPECT_FALSE(world.db().is_in_snapshot());
  world.d.Release(world.ann, "alpha", world.anns_alpha.token);
  EXPECT_EQ(Load(WriteSnapshot(world.db()))->digest(), world.db().digest());
  EXPECT_FALSE(world.db().is_in_snapshot());
  world.db().CancelSnapshot();  // none is under way
}

// ---- Work

// Counts what Apply saves, and for which of the records.
uint64_t SavedBy(SnapshotWorld& world, const std::function<void()>& apply) {
  world.db().BeginSnapshot();
  EXPECT_EQ(world.db().snapshot()->image_count(), 0u);
  apply();
  const uint64_t saved = world.db().snapshot()->images_saved();
  world.db().CancelSnapshot();
  return saved;
}

TEST(SnapshotWork, ApplySavesWhatItTouchesAndNoMore) {
  SnapshotWorld world;
  world.d.Tick();
  EXPECT_EQ(SavedBy(world, [&] { world.d.Tick(); }), 0u);
  // Ben has outcomes and replies; his lease alone changes.
  EXPECT_EQ(SavedBy(world, [&] { world.d.KeepAlive(world.ben); }), 1u);
  EXPECT_EQ(SavedBy(world, [&] { world.d.KeepAlive(world.cat, {world.cats_wait_for_beta}); }), 2u);
  // One reply more is new. Acknowledging two drops two, and X is of the session's own record.
  EXPECT_EQ(SavedBy(world, [&] { world.d.Acquire(world.hal, "gamma"); }), 0u);
  world.ann.acknowledged_through = Sequence(2);
  EXPECT_EQ(SavedBy(world, [&] { world.d.Acquire(world.ann, "gamma"); }), 3u);
  // The hold, the waiter, and the waiter's reply QUEUED, which becomes the outcome.
  EXPECT_EQ(SavedBy(world, [&] { world.d.Release(world.ann, "alpha", world.anns_alpha.token); }),
            3u);
  // What came after the beginning is nobody's business.
  EXPECT_EQ(SavedBy(world,
                    [&] {
                      Client news = world.d.Open();
                      const Grant grant = world.d.Lock(news, "zeta");
                      world.d.Release(news, "zeta", grant.token);
                      world.d.Close(news);
                    }),
            0u);
}

// One session holds 5,000 locks, waits 3,000 times and has 3,000 outcomes and 1,000 replies.
class Crowd {
 public:
  static constexpr uint64_t kLocks = 5'000;
  static constexpr uint64_t kWaits = 3'000;

  Crowd() {
    Settings settings;
    settings.session_ttl_ms_max = 10'000'000;
    Apply({SetSettings{settings}});
    big_ = Open("big-------------");
    other_ = Open("other-----------");
    const FencingToken all = Lock(other_, "all").token;
    for (uint64_t i = 0; i < kWaits; ++i) Lock(big_, "all", kWaitForever);
    const FencingToken outcomes = Lock(other_, "outcomes").token;
    for (uint64_t i = 0; i < kWaits; ++i) Lock(big_, "outcomes", 1);
    (void)all;
    (void)outcomes;
    time_ms_ = 10;
    for (uint64_t i = 0; i < 4; ++i) Apply({});
    for (uint64_t i = 0; i < kLocks; ++i) Lock(big_, absl::StrCat("lock-", i));
    big_.acknowledged_through = big_.last;
    for (uint64_t i = 0; i < 1'000; ++i) Lock(big_, "all");
  }

  LockDatabase& db() { return db_; }
  // Frees all but each `kept_of`th lock.
  void FreeMost(uint64_t kept_of) {
    for (uint64_t i = 0; i < kLocks; ++i) {
      const std::string name = absl::StrCat("lock-", i);
      if (i % kept_of == 0) continue;
      big_.acknowledged_through = big_.last;
      Apply({Release{big_.NextHead(), name, db_.GetLock(name).token}});
    }
  }

 private:
  ApplyResult Apply(const std::vector<Command>& commands) {
    BatchBuilder builder;
    for (const Command& command : commands) builder.Add(command);
    return db_.Apply(ClusterTime(time_ms_), builder.Take(WallTime(0)));
  }
  Client Open(const char* nonce) {
    const ApplyResult result = Apply({OpenSession{nonce, 10'000'000, 0, ""}});
    const auto& opened = std::get<SessionResult>(result.results.at(0).value);
    return Client{opened.session, opened.epoch, nonce, {}, {}, {}};
  }
  Grant Lock(Client& client, const std::string& name, int64_t wait_ms = 0) {
    if (client.last - client.acknowledged_through >= 1'000) {
      client.acknowledged_through = client.last;
    }
    const ApplyResult result = Apply({Driver::AcquireCommand(client.NextHead(), name, wait_ms)});
    EXPECT_EQ(result.results.at(0).refusal, Refusal::kNone);
    return std::get<AcquireResult>(result.results.at(0).value).grant;
  }

  LockDatabase db_;
  int64_t time_ms_ = 0;
  Client big_;
  Client other_;
};

TEST(SnapshotWork, OfAPieceIsBoundedInBytesAndLooks) {
  Crowd crowd;
  ASSERT_GE(crowd.db().lock_count(), Crowd::kLocks);
  ASSERT_EQ(crowd.db().waiter_count(), Crowd::kWaits);
  ASSERT_EQ(crowd.db().sessions().outcome_count(), Crowd::kWaits);
  for (const size_t bytes_max : {size_t{1}, size_t{1'000}, size_t{64 * 1024}, size_t{1} << 30}) {
    crowd.db().BeginSnapshot();
    std::string content;
    std::string piece;
    size_t pieces = 0;
    // One byte at a time takes long; the beginning will do.
    for (bool is_last = false; !is_last && (bytes_max > 1 || pieces < 10'000);) {
      is_last = crowd.db().NextSnapshotPiece(bytes_max, &piece);
      ASSERT_LE(piece.size(), bytes_max);
      if (!is_last) {
        ASSERT_LE(crowd.db().snapshot()->looks_of_last_piece(), SnapshotWriter::kLooksMax);
      }
      ++pieces;
      content += piece;
    }
    crowd.db().CancelSnapshot();
    if (bytes_max == 1) continue;
    EXPECT_GT(pieces, bytes_max > content.size() ? 1u : content.size() / bytes_max);
    EXPECT_EQ(Load(content)->digest(), crowd.db().digest());
  }
}

TEST(SnapshotWork, FreeSlotsAndNewRecordsCostFewLooks) {
  Crowd crowd;
  crowd.FreeMost(1'000);
  crowd.db().BeginSnapshot();
  std::string piece;
  // Five of the locks are left, and in 5,000 slots: some 80 times 64.
  size_t looks = 0;
  size_t pieces = 0;
  uint64_t records = 0;
  for (bool is_last = false; !is_last; ++pieces) {
    is_last = crowd.db().NextSnapshotPiece(1 << 20, &piece);
    if (!is_last) looks += crowd.db().snapshot()->looks_of_last_piece();
    records += CutIntoRecords(piece).size();
  }
  EXPECT_LE(pieces, 2u);
  EXPECT_LE(looks, 2 * records);
}

}  // namespace
}  // namespace lockd::state
