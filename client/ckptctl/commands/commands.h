// The commands. Each function adds one to `app`; when it has been typed, `context.command` runs it.
#pragma once

#include "client/ckptctl/context.h"

namespace CLI {
class App;
}  // namespace CLI

namespace ckpt::ctl {

void AddRunsCommand(CLI::App& app, Context& context);
void AddListCommand(CLI::App& app, Context& context);
void AddBestCommand(CLI::App& app, Context& context);
void AddShowCommand(CLI::App& app, Context& context);
void AddFetchCommand(CLI::App& app, Context& context);
void AddSaveCommand(CLI::App& app, Context& context);
void AddRmCommand(CLI::App& app, Context& context);
void AddStatusCommand(CLI::App& app, Context& context);
void AddHistoryCommand(CLI::App& app, Context& context);
void AddReplayCommand(CLI::App& app, Context& context);
void AddVerifyCommand(CLI::App& app, Context& context);
void AddBackupCommand(CLI::App& app, Context& context);

}  // namespace ckpt::ctl
