/* Keep the dashboard up to date. */

import { morph } from "../polling/morph.js";
import { poll } from "../polling/poll.js";
import { startTicking, tick } from "../polling/tick.js";

const region = document.getElementById("tasktree-dashboard");

function show(answer) {
    morph(region, answer.html);
    tick();
    return true;
}

startTicking();
if (region) {
    poll(() => region.dataset.url, show, { least: () => 10000 });
}
