-- Only names are defined here: nothing is loaded, and nothing is started, before the first use.
if vim.g.loaded_polytree then
  return
end
vim.g.loaded_polytree = true

if vim.fn.has("nvim-0.10") == 0 then
  vim.api.nvim_create_user_command("Polytree", function()
    vim.api.nvim_err_writeln("polytree needs Neovim 0.10 or newer")
  end, { nargs = "*", range = true, bang = true })
  return
end

vim.api.nvim_create_user_command("Polytree", function(given)
  require("polytree.command").run(given)
end, {
  nargs = "*",
  range = true,
  bang = true,
  desc = "polytree: agent sessions",
  complete = function(...)
    return require("polytree.command").complete(...)
  end,
})

local function map(modes, name, run, about)
  vim.keymap.set(modes, ("<Plug>(polytree-%s)"):format(name), run, { silent = true, desc = "polytree: " .. about })
end

map("n", "open", "<Cmd>Polytree open<CR>", "show the conversation")
map("n", "prompt", "<Cmd>Polytree prompt<CR>", "write a prompt")
map("x", "prompt", ":Polytree prompt<CR>", "write a prompt about the selection")
map("n", "new", "<Cmd>Polytree new<CR>", "begin a session")
map("n", "sessions", "<Cmd>Polytree sessions<CR>", "choose a session")
map("n", "abort", "<Cmd>Polytree abort<CR>", "end the running turn")
map("n", "allow", "<Cmd>Polytree allow<CR>", "allow this one time")
map("n", "always", "<Cmd>Polytree always<CR>", "allow from now on")
map("n", "reject", "<Cmd>Polytree reject<CR>", "reject")
map("n", "question", "<Cmd>Polytree question<CR>", "go to the question")
map("n", "mode", "<Cmd>Polytree mode<CR>", "choose what happens without a question")
map("n", "model", "<Cmd>Polytree model<CR>", "choose the model")
map("n", "agent", "<Cmd>Polytree agent<CR>", "choose the agent")
map("n", "queue", "<Cmd>Polytree queue<CR>", "the prompts that wait")
map("n", "revert", "<Cmd>Polytree revert<CR>", "undo from here on")
map("n", "unrevert", "<Cmd>Polytree unrevert<CR>", "take the undo back")
map("n", "fork", "<Cmd>Polytree fork<CR>", "copy the session")
map("n", "review", "<Cmd>Polytree review<CR>", "what the session has changed")
map("n", "keep", "<Cmd>Polytree keep<CR>", "keep the hunk")
map("x", "keep", ":Polytree keep<CR>", "keep the selected hunks")
map("n", "undo", "<Cmd>Polytree undo<CR>", "undo the hunk")
map("x", "undo", ":Polytree undo<CR>", "undo the selected hunks")
map("n", "next-hunk", "<Cmd>Polytree next<CR>", "the next open hunk")
map("n", "previous-hunk", "<Cmd>Polytree previous<CR>", "the open hunk before")
map("n", "older", function()
  local view = require("polytree.conversation.view").of_buffer(vim.api.nvim_get_current_buf())
  if view then
    require("polytree.conversation.view").older(view)
  end
end, "load older messages")
map({ "n", "i" }, "submit", function()
  require("polytree.prompt").submit()
end, "send the prompt")
map({ "n", "i" }, "steer", function()
  require("polytree.prompt").submit({ steer = true })
end, "give the prompt to the running turn")
