--- Completion of `@file` in prompts: 'omnifunc', and an in-process language server, which every completion plugin
--- that knows language servers shows.
local client = require("polytree.daemon.client")

local M = {}

--- How many files are offered.
local LIMIT = 30

--- The word with its `@` that ends at the cursor.
---@param line string up to the cursor
---@return string? query, integer? start from 0, behind the `@`
function M.word(line)
  local start, word = line:match("()@([^%s\"'`@]*)$")
  if not start then
    return nil
  end
  local before = line:sub(start - 1, start - 1)
  if start > 1 and not before:match("[%s(\"'`]") then
    return nil
  end
  return word, start
end

---@param query string
---@param done fun(paths: string[])
function M.find(query, done)
  client.request("file.find", { directory = client.directory(), query = query, limit = LIMIT }, done, function()
    done({})
  end)
end

--- For 'omnifunc': waits at most 500 ms for the daemon.
---@param findstart integer
---@param base string
---@return integer|string[]
function M.omnifunc(findstart, base)
  if findstart == 1 then
    local column = vim.api.nvim_win_get_cursor(0)[2]
    local _, start = M.word(vim.api.nvim_get_current_line():sub(1, column))
    return start or -3
  end
  local found
  M.find(base, function(paths)
    found = paths
  end)
  vim.wait(500, function()
    return found ~= nil
  end, 5)
  return found or {}
end

--- A language server that runs in this process and only completes.
---@param dispatchers table
---@return table
local function server(dispatchers)
  local closing = false
  local next_id = 0
  return {
    request = function(method, params, callback)
      next_id = next_id + 1
      if method == "initialize" then
        callback(nil, {
          capabilities = { completionProvider = { triggerCharacters = { "@", "/" } }, positionEncoding = "utf-8" },
          serverInfo = { name = "polytree" },
        })
      elseif method == "textDocument/completion" then
        local buf = vim.uri_to_bufnr(params.textDocument.uri)
        local line = vim.api.nvim_buf_get_lines(buf, params.position.line, params.position.line + 1, false)[1] or ""
        local encoding = params.position.character
        local query, start = M.word(line:sub(1, encoding))
        if not query then
          callback(nil, { isIncomplete = false, items = {} })
        else
          M.find(query, function(paths)
            local items = {}
            for index, path in ipairs(paths) do
              items[index] = {
                label = path,
                kind = path:sub(-1) == "/" and 19 or 17,
                filterText = query,
                sortText = ("%04d"):format(index),
                textEdit = {
                  range = {
                    start = { line = params.position.line, character = start },
                    ["end"] = { line = params.position.line, character = encoding },
                  },
                  newText = path,
                },
              }
            end
            callback(nil, { isIncomplete = true, items = items })
          end)
        end
      elseif method == "shutdown" then
        callback(nil, nil)
      end
      return true, next_id
    end,
    notify = function(method)
      if method == "exit" then
        closing = true
        dispatchers.on_exit(0, 15)
      end
      return true
    end,
    is_closing = function()
      return closing
    end,
    terminate = function()
      closing = true
    end,
  }
end

--- Completes in a buffer.
---@param buf integer
function M.attach(buf)
  vim.bo[buf].omnifunc = "v:lua.require'polytree.prompt.complete'.omnifunc"
  local ok, why = pcall(vim.lsp.start, {
    name = "polytree",
    cmd = server,
    root_dir = client.directory(),
    offset_encoding = "utf-8",
  }, { bufnr = buf })
  if not ok then
    require("polytree.log").warn("completion: %s", why)
  end
end

return M
