/* The dashboard stays up to date. */
"use strict";

(function () {
    const region = document.getElementById("tasktree-dashboard");
    if (!region) {
        return;
    }

    function show(answer) {
        window.tasktreeMorph(region, answer.html);
        return true;
    }

    window.tasktreePoll(() => region.dataset.url, show, 10000);
})();
