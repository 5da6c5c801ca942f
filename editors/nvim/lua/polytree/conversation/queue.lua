--- The prompts of a session that wait for the running turn to end: seen, edited, removed, moved.
local client = require("polytree.daemon.client")
local list = require("polytree.list")
local log = require("polytree.log")
local workspace = require("polytree.daemon.workspace")

local M = {}

local api = vim.api

--- What the user typed of a prompt.
---@param prompt polytree.protocol.QueuedPrompt
---@return string
function M.text(prompt)
  local texts = {}
  for _, part in ipairs(prompt.parts) do
    if part.type == "text" and not part.synthetic and type(part.text) == "string" then
      texts[#texts + 1] = part.text
    end
  end
  return table.concat(texts, "\n")
end

--- A prompt on one line, with the names of what goes along.
---@param prompt polytree.protocol.QueuedPrompt
---@return string
local function line_of(prompt)
  local text = vim.trim((M.text(prompt):gsub("%s+", " "):gsub("%c", "")))
  local words = { text }
  for _, part in ipairs(prompt.parts) do
    local name = part.type == "file" and "@" .. (part.filename or "file")
    if name and not text:find(name, 1, true) then
      words[#words + 1] = name
    end
  end
  return table.concat(words, " ")
end

--- Whether the daemon tells by the part that it has read a file for the prompt; the next part is what it has read.
---@param part? polytree.protocol.Part
---@return boolean
local function tells_of_read(part)
  return part ~= nil and part.type == "text" and part.synthetic and part.text:find("^Called the %w+ tool with {") ~= nil
end

--- The parts of a prompt whose text was changed: what went along still does. Its files are read again.
---@param prompt polytree.protocol.QueuedPrompt
---@param text string
---@return table[]
local function replaced(prompt, text)
  local parts = require("polytree.prompt.context").parse(text)
  local known = {}
  for _, part in ipairs(parts) do
    known[part.url or ""] = true
  end
  for index, part in ipairs(prompt.parts) do
    local was_read = tells_of_read(part) or tells_of_read(prompt.parts[index - 1])
    if part.type == "file" and not known[part.url] then
      parts[#parts + 1] = { type = "file", mime = part.mime, filename = part.filename, url = part.url }
    elseif part.type == "text" and part.synthetic and not was_read then
      parts[#parts + 1] = { type = "text", text = part.text, synthetic = true }
    end
  end
  return parts
end

--- Edits a prompt that waits, in a window of its own: `:write` replaces it.
---@param session_id string
---@param prompt polytree.protocol.QueuedPrompt
function M.edit(session_id, prompt)
  vim.cmd("botright 8new")
  local buf = api.nvim_get_current_buf()
  api.nvim_buf_set_name(buf, ("polytree://queue/%s"):format(prompt.messageID))
  vim.bo[buf].buftype = "acwrite"
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].swapfile = false
  api.nvim_buf_set_lines(buf, 0, -1, false, vim.split(M.text(prompt), "\n", { plain = true }))
  vim.bo[buf].modified = false
  vim.bo[buf].filetype = "polytree_prompt"
  require("polytree.prompt.complete").attach(buf)
  api.nvim_create_autocmd("BufWriteCmd", {
    buffer = buf,
    callback = function()
      local text = table.concat(api.nvim_buf_get_lines(buf, 0, -1, false), "\n")
      client.request("session.queue.replace", {
        sessionID = session_id,
        messageID = prompt.messageID,
        parts = replaced(prompt, text),
      }, function()
        log.notify("the queued prompt was replaced")
        if api.nvim_buf_is_valid(buf) then
          vim.bo[buf].modified = false
          api.nvim_buf_delete(buf, {})
        end
      end)
    end,
  })
end

--- Shows the queue of a session. It follows what happens to it.
---@param session_id string
function M.open(session_id)
  ---@type polytree.protocol.QueuedPrompt[]
  local queue = {}
  ---@type polytree.List?
  local shown
  local function lines()
    local all = {}
    for index, prompt in ipairs(queue) do
      all[index] = ("%d. %s"):format(index, line_of(prompt))
    end
    return all
  end
  local function read(done)
    client.request("session.queue", { sessionID = session_id }, function(waiting)
      queue = waiting
      done()
    end)
  end
  local function refresh()
    if shown and shown:is_open() then
      read(function()
        if #queue == 0 then
          return shown:close()
        end
        shown:set(lines())
      end)
    end
  end
  --- Moves the prompt so that it comes before the one that is at `place` now.
  local function move(line, place, cursor)
    local prompt = queue[line]
    if not prompt or place < 1 or place > #queue + 1 then
      return
    end
    client.request("session.queue.move", {
      sessionID = session_id,
      messageID = prompt.messageID,
      before = queue[place] and queue[place].messageID or nil,
    }, function(moved)
      if not moved then
        log.notify("its turn has begun", vim.log.levels.WARN)
      end
      read(function()
        if shown then
          shown:set(lines())
          shown:go(cursor)
        end
      end)
    end)
  end
  local keys = {
    ["<CR>"] = function(line)
      local prompt = queue[line]
      if prompt and shown then
        shown:close()
        M.edit(session_id, prompt)
      end
    end,
    dd = function(line)
      local prompt = queue[line]
      if prompt then
        client.request(
          "session.queue.remove",
          { sessionID = session_id, messageID = prompt.messageID },
          function(removed)
            if not removed then
              log.notify("its turn has begun", vim.log.levels.WARN)
            end
            refresh()
          end
        )
      end
    end,
    K = function(line)
      move(line, line - 1, line - 1)
    end,
    J = function(line)
      move(line, line + 2, line + 1)
    end,
  }
  read(function()
    if #queue == 0 then
      return log.notify("no prompt waits")
    end
    shown = list.open({
      title = ("%d waiting prompt%s"):format(#queue, #queue == 1 and "" or "s"),
      footer = "<CR> edit · dd remove · K J move · q close",
      lines = lines(),
      keys = keys,
    })
    local forget = workspace.on("session.queue.updated", function(event)
      if event.properties.sessionID == session_id then
        refresh()
      end
    end)
    api.nvim_create_autocmd("BufWipeout", { buffer = shown.buf, once = true, callback = forget })
  end)
end

return M
