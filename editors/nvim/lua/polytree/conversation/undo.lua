--- Undoing a part of a conversation with what it changed in files, taking that back, and copying a conversation.
local client = require("polytree.daemon.client")
local list = require("polytree.list")
local log = require("polytree.log")
local render = require("polytree.conversation.render")
local rpc = require("polytree.daemon.rpc")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api

--- What is typed of the prompt that a message is, or answers.
---@param view polytree.View
---@param message string
---@return string? prompt its id
---@return string text
local function prompt_of(view, message)
  local entry = view.state.by_id[message]
  local info = entry and entry.info
  if info and info.role == "assistant" then
    entry = view.state.by_id[info.parentID]
    info = entry and entry.info
  end
  if not info then
    return nil, ""
  end
  return info.id, require("polytree.conversation.queue").text({ messageID = info.id, parts = entry.parts })
end

--- Calls `done` with the prompt under the cursor of a conversation, or with one that is chosen.
---@param session_id string
---@param done fun(message: string, text: string)
local function choose(session_id, done)
  local views = require("polytree.conversation.view")
  local here = views.of_buffer(api.nvim_get_current_buf())
  if here and here.session_id == session_id then
    local _, info = views.part_at(here, api.nvim_win_get_cursor(0)[1])
    local id, text = nil, ""
    if info then
      id, text = prompt_of(here, info.id)
    end
    if id then
      return done(id, text)
    end
  end
  client.request("session.messages", { sessionID = session_id, limit = 200 }, function(read)
    local revert = workspace.sessions[session_id] and workspace.sessions[session_id].revert
    local prompts = {}
    for _, message in ipairs(read) do
      if revert and message.info.id == revert.messageID then
        break
      elseif message.info.role == "user" then
        local text = require("polytree.conversation.queue").text({ messageID = message.info.id, parts = message.parts })
        table.insert(prompts, 1, { id = message.info.id, text = text })
      end
    end
    if #prompts == 0 then
      return log.notify("the session has no prompt")
    end
    vim.ui.select(prompts, {
      prompt = "From which prompt on",
      kind = "polytree_message",
      format_item = function(prompt)
        return (vim.fn.strcharpart(vim.trim(prompt.text:gsub("%s+", " ")), 0, 100))
      end,
    }, function(prompt)
      if prompt then
        done(prompt.id, prompt.text)
      end
    end)
  end)
end

---@param err polytree.RpcError
local function failed(err)
  local lines = {}
  if err.data and type(err.data.files) == "table" then
    lines = render.files({ files = err.data.files } --[[@as polytree.protocol.SessionRevert]])
  end
  table.insert(lines, 1, rpc.describe(err))
  log.notify(table.concat(lines, "\n"), vim.log.levels.ERROR)
end

--- Shows what would happen, asks, and does it.
---@param method "session.revert"|"session.unrevert"
---@param params table
---@param words { title: string, verb: string }
---@param done fun(session: polytree.protocol.Session)
local function with_preview(method, params, words, done)
  client.request(method, vim.tbl_extend("force", params, { preview = true }), function(session)
    local revert = session.revert or {}
    local lines = render.files(revert)
    local conflicts = 0
    for _, file in ipairs(revert.files or {}) do
      conflicts = conflicts + (file.action == "conflict" and 1 or 0)
    end
    if #lines == 0 then
      lines = { "No file changes." }
    end
    local shown = list.open({ title = words.title, lines = lines, enter = false })
    local choices = { words.verb, "Cancel" }
    if conflicts > 0 then
      choices[1] = ("%s, but leave %d file%s in conflict as %s"):format(
        words.verb,
        conflicts,
        conflicts == 1 and "" or "s",
        conflicts == 1 and "it is" or "they are"
      )
    end
    vim.cmd.redraw()
    vim.ui.select(choices, { prompt = words.title, kind = "polytree_undo" }, function(_, index)
      shown:close()
      if index ~= 1 then
        return
      end
      client.request(method, vim.tbl_extend("force", params, { partial = conflicts > 0 or nil }), done, failed)
    end)
  end, failed)
end

--- Undoes the conversation and its changes of files, from a prompt on.
---@param session_id string
function M.revert(session_id)
  choose(session_id, function(message, text)
    local title = "Undo from: " .. vim.fn.strcharpart(vim.trim(text:gsub("%s+", " ")), 0, 60)
    with_preview("session.revert", { sessionID = session_id, messageID = message }, {
      title = title,
      verb = "Undo",
    }, function()
      local kept = require("polytree.prompt").draft(text)
      log.notify(
        "undone; :Polytree unrevert takes it back" .. (kept and ", :Polytree prompt has the prompt again" or "")
      )
    end)
  end)
end

--- Takes back an undo.
---@param session_id string
function M.unrevert(session_id)
  with_preview("session.unrevert", { sessionID = session_id }, {
    title = "Take back the undo",
    verb = "Take it back",
  }, function()
    log.notify("the undo was taken back")
  end)
end

--- Copies a session and shows the copy.
---@param session_id string
---@param before? boolean only what is before the prompt under the cursor, or before one that is chosen
function M.fork(session_id, before)
  local function copy(message, text)
    client.request("session.fork", { sessionID = session_id, messageID = message }, function(session)
      require("polytree.conversation.view").show(session.id)
      local kept = text and require("polytree.prompt").draft(text)
      log.notify("this is a copy" .. (kept and "; :Polytree prompt has the prompt again" or ""))
    end)
  end
  if before then
    choose(session_id, copy)
  else
    copy()
  end
end

return M
