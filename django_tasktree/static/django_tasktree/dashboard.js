/* The dashboard stays up to date. */
"use strict";

(function () {
    const region = document.getElementById("tasktree-dashboard");
    if (!region) {
        return;
    }

    function show(answer) {
        // Who is about to follow a link keeps it.
        if (!region.contains(document.activeElement)) {
            region.innerHTML = answer.html;
        }
        return true;
    }

    window.tasktreePoll(() => region.dataset.url, show, 10000);
})();
