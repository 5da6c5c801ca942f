--- Questions of tools: "may I run this?". One is shown at a time, whole; an answer goes to the one that is shown.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local log = require("polytree.log")
local text = require("polytree.question.text")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api

---@class polytree.Shown
---@field question polytree.protocol.Permission
---@field win? integer
---@field buf? integer

---@type polytree.Shown?
local shown
--- An answer within this time after a question came soon after another one is not taken, in milliseconds: it was
--- meant for the one before.
local SETTLE_MS = 300
--- How long ago the other one may have been there, in milliseconds.
local RECENT_MS = 2000
local shown_at = 0
local closed_at = -math.huge

---@return number milliseconds
local function now()
  return (vim.uv or vim.loop).hrtime() / 1e6
end

--- The question that an answer would go to.
---@return table?
function M.current()
  return shown and shown.question
end

local function close()
  if shown then
    closed_at = now()
  end
  if shown and shown.win and api.nvim_win_is_valid(shown.win) then
    api.nvim_win_close(shown.win, true)
  end
  if shown and shown.buf and api.nvim_buf_is_valid(shown.buf) then
    api.nvim_buf_delete(shown.buf, { force = true })
  end
  shown = nil
end

--- The keys that answer. They are those of the conversation and of the question's window: elsewhere there are commands.
---@param columns integer how much room there is
---@return string
local function key_line(columns)
  local keys = config.values.keys
  local words = {}
  for _, name in ipairs({ "allow", "always", "reject" }) do
    words[#words + 1] = ("%s%s"):format(keys[name] and keys[name] .. " " or ":Polytree ", name)
  end
  local line = (" %s "):format(table.concat(words, "  "))
  local more = keys.allow and line .. "· elsewhere :Polytree allow " or line
  return vim.fn.strdisplaywidth(more) <= columns and more or line
end

---@param buf integer
function M.map_keys(buf)
  local keys = config.values.keys
  for _, name in ipairs({ "allow", "always", "reject" }) do
    if keys[name] then
      vim.keymap.set(
        "n",
        keys[name],
        ("<Plug>(polytree-%s)"):format(name),
        { buffer = buf, desc = "polytree: " .. name, remap = true }
      )
    end
  end
end

---@param question table
local function show(question)
  close()
  shown = { question = question }
  shown_at = now()
  if config.values.questions == "notify" then
    log.notify(
      ("%s asks: %s (:Polytree allow, always or reject)"):format(question.type, question.title),
      vim.log.levels.WARN
    )
    return
  end
  local lines = text.lines(question)
  local buf = api.nvim_create_buf(false, true)
  api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].modifiable = false
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].filetype = "polytree_question"
  local metadata = type(question.metadata) == "table" and question.metadata or {}
  if type(metadata.diff) == "string" then
    vim.bo[buf].syntax = "diff"
  end
  local most = math.max(20, vim.o.columns - 4)
  local keys = key_line(most)
  -- The keys are never cut.
  local width = math.max(40, vim.fn.strdisplaywidth(keys))
  for _, line in ipairs(lines) do
    width = math.max(width, vim.fn.strdisplaywidth(line))
  end
  width = math.min(width, math.max(math.floor(vim.o.columns * 0.8), vim.fn.strdisplaywidth(keys)), most)
  local rows = 0
  for _, line in ipairs(lines) do
    rows = rows + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width))
  end
  local height = math.min(rows, math.floor(vim.o.lines * 0.6))
  local count = #workspace.questions
  local title = (" polytree asks%s"):format(count > 1 and (" (1 of %d)"):format(count) or "")
  if rows > height then
    title = ("%s · %d more lines"):format(title, rows - height)
    local way = ", :Polytree question shows them"
    title = vim.fn.strdisplaywidth(title .. way) < width and title .. way or title
  end
  local win = api.nvim_open_win(buf, false, {
    relative = "editor",
    anchor = "SE",
    row = vim.o.lines - vim.o.cmdheight - 1,
    col = vim.o.columns,
    width = width,
    height = height,
    border = "rounded",
    style = "minimal",
    -- That there is more stands above, where nobody overlooks it.
    title = title .. " ",
    footer = keys,
    zindex = 60,
    noautocmd = true,
  })
  vim.wo[win].wrap = true
  vim.wo[win].winhighlight = "FloatBorder:DiagnosticWarn,FloatTitle:DiagnosticWarn,FloatFooter:DiagnosticWarn"
  M.map_keys(buf)
  vim.keymap.set("n", "q", "<C-w>p", { buffer = buf, desc = "polytree: back" })
  shown.win, shown.buf = win, buf
end

--- Shows the oldest open question, or none.
function M.update()
  local first = workspace.questions[1]
  if not first then
    close()
  elseif not shown or shown.question.id ~= first.id then
    show(first)
  end
end

--- Moves into the window of the question, where a long one can be scrolled.
function M.enter()
  if shown and shown.win and api.nvim_win_is_valid(shown.win) then
    api.nvim_set_current_win(shown.win)
  elseif workspace.questions[1] then
    show(workspace.questions[1])
  else
    log.notify("no question is open")
  end
end

--- Answers the question that is shown, or the one that is named.
---@param response "once"|"always"|"reject"
---@param options? { id?: string, message?: string, scope?: "session"|"project", always?: string[] }
function M.answer(response, options)
  options = options or {}
  local question = M.current()
  if options.id then
    question = nil
    for _, known in ipairs(workspace.questions) do
      if known.id == options.id then
        question = known
      end
    end
  elseif question and now() - shown_at < SETTLE_MS and shown_at - closed_at < RECENT_MS then
    log.notify("another question is shown now: look at it, then answer again", vim.log.levels.WARN)
    return
  end
  if not question then
    log.notify(options.id and "that question is not open any more" or "no question is open", vim.log.levels.WARN)
    return
  end
  if response == "always" and #question.always == 0 then
    log.notify("there is no “always” for this question: allow it once, or reject it", vim.log.levels.WARN)
    return
  end
  client.request("permission.reply", {
    sessionID = question.sessionID,
    permissionID = question.id,
    response = response,
    message = options.message,
    scope = response == "always" and options.scope or nil,
    always = response == "always" and options.always or nil,
  }, function()
    workspace.forget_question(question.id)
    M.update()
  end, function(err)
    log.notify(err.message, vim.log.levels.WARN)
    if err.data and err.data.kind == "invalid_params" then
      -- The answer was wrong, such as a pattern that is wider than what was offered; the question is still open.
      return
    end
    -- Somebody else was faster; what they said is told by `permission.replied`.
    workspace.forget_question(question.id)
    M.update()
  end)
end

workspace.on("any", M.update)

return M
