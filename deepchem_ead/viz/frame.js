/* Turns a 3Dmol.js viewer back and sets its distance so that all atoms are in sight, also while the
   molecule turns about the vertical axis. The viewer's own zoomTo takes the mean of the atoms for the
   middle, and knows neither the width of the view nor that what is near looks large. */
function frameMolecule(viewer, host) {
  const atoms = viewer.selectedAtoms({});
  if (!atoms.length) return;
  viewer.zoomTo();  // for the depth that is drawn
  const margin = 0.7, smallest = 4;  // Angstrom; small molecules are drawn to one scale
  const middle = ["x", "y", "z"].map(axis => {
    const values = atoms.map(atom => atom[axis]);
    return (values.reduce((a, b) => Math.min(a, b)) + values.reduce((a, b) => Math.max(a, b))) / 2;
  });
  let wide = smallest, high = smallest;
  for (const { x, y, z } of atoms) {
    wide = Math.max(wide, Math.hypot(x - middle[0], z - middle[2]) + margin);
    high = Math.max(high, Math.abs(y - middle[1]) + margin);
  }
  const rise = Math.tan(viewer.camera.fov * Math.PI / 360);
  const side = rise * host.clientWidth / host.clientHeight;
  const far = Math.max(high / rise + wide, wide * Math.hypot(1, 1 / side));
  viewer.setView([...middle.map(value => -value), viewer.CAMERA_Z - far, 0, 0, 0, 1]);
}
