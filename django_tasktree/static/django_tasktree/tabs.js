/* Three views of the same nodes, one at a time; the arrow keys move between them. */
"use strict";

(function () {
    const list = document.querySelector(".tasktree-tabs");
    if (!list) {
        return;
    }
    const tabs = Array.from(list.querySelectorAll("[role=tab]"));

    function choose(tab, focus) {
        for (const each of tabs) {
            const chosen = each === tab;
            each.setAttribute("aria-selected", String(chosen));
            each.tabIndex = chosen ? 0 : -1;
            document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
        }
        if (focus) {
            tab.focus();
        }
        document.getElementById(tab.getAttribute("aria-controls")).dispatchEvent(new CustomEvent("tasktree:shown"));
        if (history.replaceState) {
            history.replaceState(null, "", "#" + tab.getAttribute("aria-controls"));
        }
    }

    list.addEventListener("click", function (event) {
        const tab = event.target.closest("[role=tab]");
        if (tab) {
            choose(tab, false);
        }
    });
    list.addEventListener("keydown", function (event) {
        const steps = { ArrowRight: 1, ArrowLeft: -1 };
        if (event.key in steps) {
            event.preventDefault();
            const at = tabs.indexOf(document.activeElement) + steps[event.key];
            choose(tabs[(at + tabs.length) % tabs.length], true);
        }
    });
    function follow() {
        const named = tabs.find((tab) => "#" + tab.getAttribute("aria-controls") === location.hash);
        if (named) {
            choose(named, false);
        }
    }

    list.hidden = false;
    window.addEventListener("hashchange", follow);
    // After the scripts of the other views have begun to listen.
    document.addEventListener("DOMContentLoaded", follow);
})();
