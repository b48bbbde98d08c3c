/* The rows of a tree table. Each row has its depth as data, and is followed by its descendants. */

export const depth = (row) => Number(row.dataset.depth);

/** Return all descendants of a row. */
export function below(row) {
    const found = [];
    let next = row.nextElementSibling;
    while (next && depth(next) > depth(row)) {
        found.push(next);
        next = next.nextElementSibling;
    }
    return found;
}

export const childrenOf = (row) => below(row).filter((each) => depth(each) === depth(row) + 1);

export function parentOf(row) {
    let before = row.previousElementSibling;
    while (before && depth(before) >= depth(row)) {
        before = before.previousElementSibling;
    }
    return before;
}

/** Return whether all children of a row are loaded, or a row for loading the rest exists. */
export function isComplete(row) {
    return row.dataset.shown === row.dataset.children || below(row).some((each) => each.dataset.more);
}

/** Show those descendants of a row whose ancestors are all expanded, and hide the others. */
export function showOpen(row, isOpen) {
    const open = [isOpen(row)];
    for (const each of below(row)) {
        const level = depth(each) - depth(row);
        each.hidden = open.slice(0, level).includes(false);
        open[level] = isOpen(each);
    }
}
