#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "wire.h"

namespace ckpt::wire {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class CatalogWireTest : public WireTest {
 protected:
  // Trains three epochs of runs/r: checkpoints 1 (0.5), 2 (0.4), 3 (0.3).
  void Train() {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    ASSERT_TRUE(trainer_.Hello(hello));
    for (uint64_t seq = 1; seq <= 3; ++seq) {
      const auto decision =
          trainer_.Epoch(seq, static_cast<int64_t>(seq) - 1, 0.6 - 0.1 * static_cast<double>(seq));
      ASSERT_TRUE(decision && decision->saves_size() == 1);
      ASSERT_TRUE(UploadAll(decision->saves(0).name(), "w" + std::to_string(seq)).ok());
    }
  }

  std::string Get(const std::string& name, v1::Checkpoint* checkpoint = nullptr) {
    grpc::ClientContext context;
    v1::GetCheckpointRequest request;
    request.set_name(name);
    v1::Checkpoint response;
    const grpc::Status status = catalog_->GetCheckpoint(&context, request, &response);
    if (checkpoint != nullptr) *checkpoint = response;
    return status.ok() ? response.name() : ReasonOf(status);
  }

  std::string Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteCheckpointRequest request;
    request.set_name(name);
    google::protobuf::Empty response;
    return ReasonOf(catalog_->DeleteCheckpoint(&context, request, &response));
  }

  std::string DeleteRun(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteRunRequest request;
    request.set_name(name);
    google::protobuf::Empty response;
    const grpc::Status status = catalog_->DeleteRun(&context, request, &response);
    return status.ok() ? "OK" : ReasonOf(status);
  }

  std::string Best(const std::string& metric, const std::string& mode, const std::string& policy) {
    grpc::ClientContext context;
    v1::GetBestCheckpointRequest request;
    request.set_run("runs/r");
    request.set_metric(metric);
    request.set_mode(mode);
    request.set_policy(policy);
    v1::Checkpoint response;
    const grpc::Status status = catalog_->GetBestCheckpoint(&context, request, &response);
    return status.ok() ? response.name() : ReasonOf(status);
  }

  std::string ListReason(const v1::ListCheckpointsRequest& request) {
    grpc::ClientContext context;
    v1::ListCheckpointsResponse response;
    return ReasonOf(catalog_->ListCheckpoints(&context, request, &response));
  }

  Trainer trainer_{Channel()};
};

TEST_F(CatalogWireTest, NamesAndAliases) {
  ASSERT_NO_FATAL_FAILURE(Train());
  const std::pair<const char*, const char*> cases[] = {
      {"runs/r/checkpoints/2", "runs/r/checkpoints/2"},
      {"runs/r/checkpoints/best", "runs/r/checkpoints/3"},
      {"runs/r/checkpoints/best:best", "runs/r/checkpoints/3"},
      {"runs/r/checkpoints/latest", "runs/r/checkpoints/3"},
      {"runs/r/checkpoints/best:nope", "POLICY_NOT_FOUND"},
      {"runs/r/checkpoints/99", "CHECKPOINT_NOT_FOUND"},
      {"runs/r/checkpoints/01", "NAME_INVALID"},
      {"runs/r/checkpoints/newest", "NAME_INVALID"},
      {"runs/nope/checkpoints/1", "RUN_NOT_FOUND"},
      {"runs/nope/checkpoints/best", "RUN_NOT_FOUND"},
      {"runs/../checkpoints/1", "NAME_INVALID"},
      {"", "NAME_INVALID"},
  };
  for (const auto& [name, expected] : cases) EXPECT_EQ(Get(name), expected) << name;
}

TEST_F(CatalogWireTest, AliasesOfAnEmptyRun) {
  v1::Hello hello;
  *hello.add_policies() = BestPolicy();
  ASSERT_TRUE(trainer_.Hello(hello));
  EXPECT_EQ(Get("runs/r/checkpoints/best"), "ALIAS_UNRESOLVED");
  EXPECT_EQ(Get("runs/r/checkpoints/latest"), "ALIAS_UNRESOLVED");
}

TEST_F(CatalogWireTest, BestByMetricModeAndPolicy) {
  ASSERT_NO_FATAL_FAILURE(Train());
  EXPECT_EQ(Best("", "", ""), "runs/r/checkpoints/3");
  EXPECT_EQ(Best("loss", "max", ""), "runs/r/checkpoints/1");
  EXPECT_EQ(Best("loss", "", "best"), "runs/r/checkpoints/3");
  EXPECT_EQ(Best("loss", "sideways", ""), "FIELD_INVALID");
  EXPECT_EQ(Best("acc", "", ""), "ALIAS_UNRESOLVED");
  EXPECT_EQ(Best("", "", "nope"), "POLICY_NOT_FOUND");
}

TEST_F(CatalogWireTest, WrongQuestions) {
  ASSERT_NO_FATAL_FAILURE(Train());
  v1::ListCheckpointsRequest request;
  request.set_parent("runs/r");
  request.set_filter("epoch >");
  EXPECT_EQ(ListReason(request), "QUERY_INVALID");
  request.set_filter("epok > 1");
  EXPECT_EQ(ListReason(request), "QUERY_INVALID");
  request.clear_filter();
  request.set_order_by("metrics.loss sideways");
  EXPECT_EQ(ListReason(request), "QUERY_INVALID");
  request.clear_order_by();
  request.set_page_token("made up");
  EXPECT_EQ(ListReason(request), "PAGE_TOKEN_INVALID");
  request.clear_page_token();
  request.set_page_size(-1);
  EXPECT_EQ(ListReason(request), "FIELD_INVALID");
  request.clear_page_size();
  request.set_parent("runs/nope");
  EXPECT_EQ(ListReason(request), "RUN_NOT_FOUND");
}

TEST_F(CatalogWireTest, DeletingTheBestPromotesTheNext) {
  ASSERT_NO_FATAL_FAILURE(Train());
  EXPECT_EQ(Delete("runs/r/checkpoints/best"), "FIELD_INVALID");
  EXPECT_EQ(Delete("runs/r/checkpoints/99"), "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(Delete("runs/r/checkpoints/3"), "");
  EXPECT_EQ(Get("runs/r/checkpoints/best"), "runs/r/checkpoints/2");
  EXPECT_FALSE(std::filesystem::exists(RunFolder() + "/m-03"));
  // The rank is free: 0.35 beats 0.4, though it does not beat the deleted 0.3.
  const auto decision = trainer_.Epoch(4, 3, 0.35);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->policies(0).action(), v1::PolicyDecision::ACTION_SAVE);
  EXPECT_EQ(decision->saves(0).name(), "runs/r/checkpoints/4") << "ids are not used again";
}

TEST_F(CatalogWireTest, AnOverwrittenNameEvictsItsCheckpoint) {
  v1::Hello hello;
  *hello.add_policies() = BestPolicy("best.bin");
  ASSERT_TRUE(trainer_.Hello(hello));
  for (uint64_t seq = 1; seq <= 2; ++seq) {
    const auto decision =
        trainer_.Epoch(seq, static_cast<int64_t>(seq), 1.0 / static_cast<double>(seq));
    ASSERT_TRUE(decision && decision->saves_size() == 1);
    ASSERT_TRUE(UploadAll(decision->saves(0).name(), "w" + std::to_string(seq)).ok());
  }
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_EQ(List()[0].name(), "runs/r/checkpoints/2");
  std::ifstream file(RunFolder() + "/best.bin");
  std::string content;
  file >> content;
  EXPECT_EQ(content, "w2");
  EXPECT_EQ(Get("runs/r/checkpoints/1"), "CHECKPOINT_NOT_FOUND");
}

TEST_F(CatalogWireTest, ARunInUseIsNotDeleted) {
  ASSERT_NO_FATAL_FAILURE(Train());
  EXPECT_EQ(DeleteRun("runs/r"), "RUN_IN_USE");
  ASSERT_TRUE(trainer_.Finish().ok());
  EXPECT_EQ(DeleteRun("runs/r"), "OK");
  EXPECT_EQ(DeleteRun("runs/r"), "RUN_NOT_FOUND");
  EXPECT_FALSE(std::filesystem::exists(RunFolder()));
  Trainer anew(Channel());
  v1::Hello hello;
  *hello.add_policies() = BestPolicy();
  hello.set_start(v1::Hello::START_CREATE);
  const auto welcome = anew.Hello(hello);
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->durable_seq(), 0u);
  EXPECT_EQ(welcome->writer_epoch(), 1u);
}

TEST_F(CatalogWireTest, DamageIsFoundAndNeverServed) {
  ASSERT_NO_FATAL_FAILURE(Train());
  const std::string path = RunFolder() + "/m-02";
  std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::ofstream(path, std::ios::in | std::ios::out) << "X";
  grpc::Status status;
  EXPECT_EQ(Download("runs/r/checkpoints/2", &status), "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ReasonOf(status), "BLOB_CORRUPT");
  EXPECT_EQ(Download("runs/r/checkpoints/3", &status), "w3");
}

TEST_F(CatalogWireTest, HistoryIsThinnedOut) {
  ASSERT_NO_FATAL_FAILURE(Train());
  const auto ask = [&](const v1::GetHistoryRequest& request, v1::GetHistoryResponse* response) {
    grpc::ClientContext context;
    return ReasonOf(catalog_->GetHistory(&context, request, response));
  };
  v1::GetHistoryRequest request;
  v1::GetHistoryResponse response;
  request.set_run("runs/r");
  ASSERT_EQ(ask(request, &response), "");
  ASSERT_GT(response.series_size(), 0);
  const std::string metric = response.series(0).metric();
  EXPECT_THAT(response.series(0).seqs(), SizeIs(0)) << "without metrics, names alone";

  request.add_metrics(metric);
  request.add_metrics("no such");
  response.Clear();
  ASSERT_EQ(ask(request, &response), "");
  ASSERT_EQ(response.series_size(), 2);
  const v1::MetricSeries& all = response.series(0);
  ASSERT_GT(all.seqs_size(), 2);
  EXPECT_EQ(all.total_points(), all.seqs_size());
  for (const int size :
       {all.epochs_size(), all.batches_size(), all.times_unix_nanos_size(), all.values_size()}) {
    EXPECT_EQ(size, all.seqs_size());
  }
  EXPECT_EQ(response.series(1).seqs_size(), 0);
  EXPECT_EQ(response.series(1).metric(), "no such");

  request.set_points(1);
  request.set_method(v1::GetHistoryRequest::METHOD_NEWEST);
  v1::GetHistoryResponse newest;
  ASSERT_EQ(ask(request, &newest), "");
  ASSERT_EQ(newest.series(0).seqs_size(), 1);
  EXPECT_EQ(newest.series(0).seqs(0), *all.seqs().rbegin());
  EXPECT_EQ(newest.series(0).values(0), *all.values().rbegin());

  const auto with = [&](auto edit) {
    v1::GetHistoryRequest bad = request;
    edit(bad);
    return ask(bad, &response);
  };
  EXPECT_EQ(with([](auto& bad) { bad.set_run("r"); }), "NAME_INVALID");
  EXPECT_EQ(with([](auto& bad) { bad.set_run("runs/nope"); }), "RUN_NOT_FOUND");
  EXPECT_EQ(with([](auto& bad) { bad.set_points(-1); }), "FIELD_INVALID");
  EXPECT_EQ(with([](auto& bad) { bad.set_rank(-1); }), "FIELD_INVALID");
  EXPECT_EQ(with([](auto& bad) { bad.set_method(static_cast<v1::GetHistoryRequest::Method>(99)); }),
            "FIELD_INVALID");
  EXPECT_EQ(with([](auto& bad) {
              for (int i = 0; i < 9; ++i) bad.add_metrics("m");
            }),
            "FIELD_INVALID");
}

TEST_F(CatalogWireTest, BestSurvivesAKilledDaemon) {
  ASSERT_NO_FATAL_FAILURE(Train());
  daemon_.Kill();
  ASSERT_TRUE(daemon_.Start());
  catalog_ = v1::CatalogService::NewStub(Channel());
  EXPECT_EQ(Get("runs/r/checkpoints/best"), "runs/r/checkpoints/3");
  EXPECT_EQ(Download("runs/r/checkpoints/best"), "w3");
}

}  // namespace
}  // namespace ckpt::wire
