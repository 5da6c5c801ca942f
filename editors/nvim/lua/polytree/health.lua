--- `:checkhealth polytree`.
local M = {}

function M.check()
  local health = vim.health
  local config = require("polytree.config")
  health.start("polytree")
  if vim.fn.has("nvim-0.10") == 1 then
    health.ok("Neovim " .. tostring(vim.version()))
  else
    health.error("Neovim 0.10 or newer is needed", { "update Neovim" })
  end
  local command = config.values.command
  if vim.fn.executable(command[1]) ~= 1 then
    return health.error(("`%s` is not on PATH"):format(command[1]), {
      "install polytree: `cargo install --path .` in its checkout",
      "or name it: require('polytree').setup({ command = { '/path/to/polytree', 'stdio' } })",
    })
  end
  local version = vim.fn.system({ command[1], "--version" })
  if vim.v.shell_error == 0 then
    health.ok(("%s at %s"):format(vim.trim(version), vim.fn.exepath(command[1])))
  else
    health.error(("`%s --version` failed: %s"):format(command[1], vim.trim(version)))
  end
  local client = require("polytree.daemon.client")
  if client.client.state == "idle" then
    client.when_ready(function() end)
    vim.wait(5000, function()
      return client.client.state == "ready" or client.client.state == "failed"
    end, 20)
  end
  if client.client.state == "ready" then
    local server = client.client.server
    health.ok(
      ("connected to %s %s, protocol %d"):format(
        server.serverInfo.name,
        server.serverInfo.version,
        server.protocolVersion
      )
    )
    health.info("directory: " .. client.directory())
    local diagnosis
    client.request("server.diagnose", {}, function(result)
      diagnosis = result
    end, function(err)
      diagnosis = { advice = { { message = err.message } } }
    end)
    vim.wait(5000, function()
      return diagnosis ~= nil
    end, 20)
    for _, advice in ipairs(diagnosis and diagnosis.advice or {}) do
      health.warn(advice.text, advice.hint and { advice.hint } or nil)
    end
  else
    health.error(client.client.problem or "not connected", { "`polytree doctor` says more", "`:Polytree log`" })
  end
  if pcall(vim.treesitter.language.add, "markdown") then
    health.ok("the Markdown parser is there")
  else
    health.warn("no tree-sitter parser for Markdown: the conversation is highlighted by syntax rules")
  end
  health.info("log: " .. require("polytree.log").path())
end

return M
