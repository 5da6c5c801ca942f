// The chat's page before its script runs. Pure.

/** `policy` is its content security policy, `script` and `style` are addresses. */
export function pageHtml({ policy, style, script, nonce }: { policy: string; style: string; script: string; nonce: string }): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${style}">
<title>polytree</title>
</head>
<body>
<main id="messages" role="log" aria-label="Conversation" tabindex="0"></main>
<section id="questions" aria-live="assertive" aria-label="Questions"></section>
<section id="queue" aria-label="Waiting prompts"></section>
<form id="prompt" aria-label="Prompt">
<div id="attached"></div>
<textarea id="text" rows="3" aria-label="Prompt" placeholder="Ask polytree. @ adds files, Enter sends"></textarea>
<ul id="files" role="listbox" aria-label="Files" hidden></ul>
<div id="bar"><button type="button" id="agent" title="Agent of the next prompts"></button><button type="button" id="model" title="Model of the next prompts"></button><button type="button" id="mode" title="What is done without a question"></button></div>
<div id="send-bar"><span id="status" role="status"></span><button type="button" id="abort" title="End the turn" hidden>Abort</button><button type="button" id="steer" title="Tell the running turn, which reads it before its next step (Ctrl+Enter)" hidden>Steer</button><button type="submit" id="send" title="Send (Enter)">Send</button></div>
</form>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>`
}
