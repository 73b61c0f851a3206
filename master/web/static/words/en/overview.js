// Overview.
export default {};
