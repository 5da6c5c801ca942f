--- Where a prompt is written: a floating window that keeps its draft until it is sent.
local client = require("polytree.daemon.client")
local config = require("polytree.config")
local context = require("polytree.prompt.context")
local log = require("polytree.log")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api

---@type integer?
local buffer
---@type table[] parts that go along, beside the text
local attached = {}
---@type { session_id?: string, steer?: boolean }
local target = {}
---@class polytree.Choice
---@field agent? string
---@field model? polytree.protocol.ModelRef
---@field variant? string
---@field mode? polytree.protocol.Mode of the next session that is begun

---@type polytree.Choice chosen for the next session
M.choice = {}

---@return { providerID: string, modelID: string }?
local function model()
  if M.choice.model then
    return M.choice.model
  end
  local provider, id = (config.values.model or ""):match("^([^/]+)/(.+)$")
  return provider and { providerID = provider, modelID = id } or nil
end

--- Sends a prompt. Without a session one is created in the directory.
---@param parts table[]
---@param options? { session_id?: string, steer?: boolean, done?: fun(session_id: string), failed?: fun() }
function M.send(parts, options)
  options = options or {}
  local function failed(err)
    local hint = err.data and err.data.hint
    log.notify(err.message .. (hint and (" (" .. hint .. ")") or ""), vim.log.levels.ERROR)
    if options.failed then
      options.failed()
    end
  end
  if options.steer and options.session_id then
    -- The running turn reads it before its next step.
    return client.request("session.steer", { sessionID = options.session_id, parts = parts }, function()
      if options.done then
        options.done(options.session_id)
      end
    end, failed)
  end
  local is_new = not options.session_id
  -- Of a session that is there `session.update` has set all this; of a new one the turn alone has it, until the session does.
  local mode = is_new and M.choice.mode or nil
  local variant = is_new and (M.choice.variant or config.values.variant) or nil
  local params = {
    mode = mode,
    sessionID = options.session_id,
    directory = is_new and client.directory() or nil,
    parts = parts,
    agent = is_new and (M.choice.agent or config.values.agent) or nil,
    model = is_new and model() or nil,
    variant = variant,
  }
  client.request("session.submit", params, function(result)
    workspace.current = result.sessionID
    if mode or variant then
      local kept = { sessionID = result.sessionID, mode = mode, model = variant and params.model, variant = variant }
      client.request("session.update", kept)
    end
    M.choice = is_new and {} or M.choice
    if result.queued then
      log.notify("the prompt waits until the running turn has ended")
    end
    if options.done then
      options.done(result.sessionID)
    end
  end, failed)
end

local function close()
  if buffer then
    for _, win in ipairs(vim.fn.win_findbuf(buffer)) do
      api.nvim_win_close(win, true)
    end
  end
end

--- Sends what stands in the prompt's window. The draft is kept when that fails.
---@param options? { steer?: boolean } give it to the running turn, instead of waiting for its end
function M.submit(options)
  if not buffer or not api.nvim_buf_is_valid(buffer) then
    return
  end
  local text = vim.trim(table.concat(api.nvim_buf_get_lines(buffer, 0, -1, false), "\n"))
  if text == "" and #attached == 0 then
    log.notify("the prompt is empty", vim.log.levels.WARN)
    return
  end
  local parts = context.parse(text)
  vim.list_extend(parts, attached)
  local sent, sent_attached = table.concat(api.nvim_buf_get_lines(buffer, 0, -1, false), "\n"), attached
  attached = {}
  if vim.fn.mode() == "i" then
    vim.cmd.stopinsert()
  end
  close()
  M.send(parts, {
    session_id = target.session_id,
    steer = target.steer or (options and options.steer),
    done = function(session_id)
      -- What was typed meanwhile is the next prompt.
      if
        buffer
        and api.nvim_buf_is_valid(buffer)
        and table.concat(api.nvim_buf_get_lines(buffer, 0, -1, false), "\n") == sent
      then
        api.nvim_buf_set_lines(buffer, 0, -1, false, {})
      end
      require("polytree.conversation.view").show(session_id, { enter = false })
    end,
    failed = function()
      attached = vim.list_extend(sent_attached, attached)
    end,
  })
end

--- Where the draft of a directory is kept when Neovim ends.
---@return string
local function draft_path()
  return ("%s/polytree/draft-%s.md"):format(vim.fn.stdpath("state"), vim.fn.sha256(client.directory()):sub(1, 16))
end

--- Reads the draft that the last Neovim left here, and keeps the one of this Neovim when it ends.
---@param buf integer
local function keep_draft(buf)
  local path = draft_path()
  if vim.fn.filereadable(path) == 1 then
    api.nvim_buf_set_lines(buf, 0, -1, false, vim.fn.readfile(path))
    vim.fn.delete(path)
  end
  api.nvim_create_autocmd("VimLeavePre", {
    group = api.nvim_create_augroup("polytree.prompt", {}),
    callback = function()
      local lines = api.nvim_buf_is_valid(buf) and api.nvim_buf_get_lines(buf, 0, -1, false) or {}
      if vim.trim(table.concat(lines, "\n")) ~= "" then
        vim.fn.mkdir(vim.fs.dirname(path), "p", "0700")
        vim.fn.writefile(lines, path)
      end
    end,
  })
end

---@return integer
local function draft_buffer()
  if buffer and api.nvim_buf_is_valid(buffer) then
    return buffer
  end
  buffer = api.nvim_create_buf(false, true)
  api.nvim_buf_set_name(buffer, "polytree://prompt")
  vim.bo[buffer].bufhidden = "hide"
  vim.bo[buffer].swapfile = false
  vim.bo[buffer].filetype = "polytree_prompt"
  keep_draft(buffer)
  local keys = config.values.keys
  if keys.submit then
    vim.keymap.set(
      { "n", "i" },
      keys.submit,
      "<Plug>(polytree-submit)",
      { buffer = buffer, desc = "polytree: send the prompt", remap = true }
    )
  end
  vim.keymap.set(
    "n",
    "<CR>",
    "<Plug>(polytree-submit)",
    { buffer = buffer, desc = "polytree: send the prompt", remap = true }
  )
  if keys.close then
    vim.keymap.set("n", keys.close, close, { buffer = buffer, desc = "polytree: close, keep the draft" })
  end
  require("polytree.prompt.complete").attach(buffer)
  return buffer
end

--- Opens the prompt's window.
---@param options? { session_id?: string, parts?: table[], text?: string, steer?: boolean }
function M.open(options)
  options = options or {}
  target = { session_id = options.session_id, steer = options.steer }
  vim.list_extend(attached, options.parts or {})
  local buf = draft_buffer()
  if options.text then
    local lines = api.nvim_buf_get_lines(buf, 0, -1, false)
    local new = vim.split(options.text, "\n", { plain = true })
    api.nvim_buf_set_lines(buf, (#lines == 1 and lines[1] == "") and 0 or -1, -1, false, new)
  end
  local names = {}
  for _, part in ipairs(attached) do
    names[#names + 1] = part.filename or (part.type == "text" and vim.split(part.text, "\n")[1]) or part.type
  end
  local session = options.session_id and workspace.sessions[options.session_id]
  local title = session and (session.title ~= "" and session.title or "this session") or "a new session"
  title = title:gsub("%c", " ")
  local existing = vim.fn.win_findbuf(buf)[1]
  local width = math.min(100, math.floor(vim.o.columns * 0.8))
  local window = {
    relative = "editor",
    row = math.max(0, vim.o.lines - 13 - vim.o.cmdheight),
    col = math.floor((vim.o.columns - width) / 2),
    width = width,
    height = 8,
    border = "rounded",
    style = "minimal",
    title = (options.steer and " to the running turn of %s " or " prompt to %s "):format(
      vim.fn.strcharpart(title, 0, width - 20)
    ),
    footer = (" %s sends · %s "):format(
      config.values.keys.submit or "<CR>",
      #names > 0 and "with " .. table.concat(names, ", "):sub(1, width - 20) or "@ adds a file"
    ),
    zindex = 55,
  }
  if existing then
    api.nvim_win_set_config(existing, window)
    api.nvim_set_current_win(existing)
  else
    api.nvim_open_win(buf, true, window)
    vim.wo.wrap = true
    vim.wo.linebreak = true
  end
  api.nvim_win_set_cursor(0, { api.nvim_buf_line_count(buf), 0 })
  vim.cmd.startinsert({ bang = true })
end

--- Makes a text the draft, where there is none.
---@param text string
---@return boolean whether it is now
function M.draft(text)
  local buf = draft_buffer()
  local lines = api.nvim_buf_get_lines(buf, 0, -1, false)
  if text == "" or #lines > 1 or lines[1] ~= "" then
    return false
  end
  api.nvim_buf_set_lines(buf, 0, -1, false, vim.split(text, "\n", { plain = true }))
  return true
end

--- Forgets the draft and what goes along with it.
function M.clear()
  attached = {}
  if buffer and api.nvim_buf_is_valid(buffer) then
    api.nvim_buf_set_lines(buffer, 0, -1, false, {})
  end
end

return M
